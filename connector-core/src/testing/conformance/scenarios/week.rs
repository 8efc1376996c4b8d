use super::super::dice::Dice;
use super::super::life::{Life, Setup, Wrong, minutes};
use super::super::{ConformanceService, Edit, Report};
use super::{blame_crash, enter};

/// A week in which both ends edit at random, pushes are late, and the host is killed at random, so often at most:
/// how often it was.
pub(crate) async fn week<S: ConformanceService>(
    setup: &Setup<S>,
    report: &mut Report,
    seed: u64,
    kills: usize,
) -> usize {
    const MINUTES: usize = 7 * 24 * 60;
    const FEWEST: usize = 20;
    const MOST_ITEMS: usize = 40;
    let mut life = Life::new(setup, Wrong::default()).await;
    report.lived();
    if !life.begin().await {
        return 0;
    }
    let mut dice = Dice::new(seed);
    life.pushes.delay(Dice::new(!seed));
    // Now and then there is nothing to be killed at.
    let steps = (kills + kills / 4).max(FEWEST);
    for number in 0..steps {
        let items = life.items();
        let Some(item) = items.get(dice.roll(items.len())) else { break };
        let title = item.title.clone();
        match dice.roll(8) {
            0 if items.len() < MOST_ITEMS => {
                let channel = life.channels.get(dice.roll(life.channels.len())).cloned();
                channel.map(|channel| life.make(&channel, &format!("Item {number} of the week"), life.now()));
            }
            1 => {
                life.edit(&title, &Edit::Note(format!("Note {number} from elsewhere.")));
            }
            2 => {
                life.edit(&title, &Edit::Title(format!("Item with name {number}")));
            }
            3 => {
                life.reply(&title, &format!("Note {number} of the user.")).await;
            }
            4 => {
                life.set_status(&title).await;
            }
            5 => {
                let note = item.notes.iter().find(|note| note.contains("from elsewhere")).cloned();
                let text = format!("Note {number} from elsewhere, reworded.");
                note.map(|note| life.edit(&title, &Edit::Reword { note, text }));
            }
            6 if life.renamed_by_others() => {
                life.set_title(&title, &format!("Item that the user named {number}")).await;
            }
            _ => {}
        }
        if life.crashes < kills && !life.is_doomed() {
            life.kill_soon(dice.roll(4), dice.roll(2) == 0, dice.roll(2) == 0);
        }
        life.advance(minutes(i64::try_from(1 + dice.roll(2 * MINUTES / steps)).unwrap_or(1))).await;
    }
    life.spare_all();
    let kills = life.crashes;
    report.killed(kills);
    let found = life.rest().await;
    enter(report, &[7, 8, 19, 20], &format!("a week with {kills} kills (seed {seed})"), found, blame_crash);
    kills
}
