//! Names of emoji, as Slack writes them: `:tada:`. Most are GitHub's; the others are Unicode's names, or
//! listed here by the data that Slack's names come from (<https://github.com/iamcal/emoji-data>).

use std::collections::HashMap;
use std::sync::LazyLock;

use emojis::SkinTone;

use crate::model::Emoji;

/// Where Slack's name is not GitHub's: GitHub's, then Slack's.
const RENAMED: [(&str, &str); 31] = [
    ("brown_circle", "large_brown_circle"),
    ("cloud_with_snow", "snow_cloud"),
    ("cursing_face", "face_with_symbols_on_mouth"),
    ("detective", "sleuth_or_spy"),
    ("facepalm", "face_palm"),
    ("frowning_face", "white_frowning_face"),
    ("fu", "middle_finger"),
    ("green_circle", "large_green_circle"),
    ("hand_over_mouth", "face_with_hand_over_mouth"),
    ("hugs", "hugging_face"),
    ("metal", "the_horns"),
    ("monocle_face", "face_with_monocle"),
    ("orange_circle", "large_orange_circle"),
    ("pause_button", "double_vertical_bar"),
    ("plate_with_cutlery", "knife_fork_plate"),
    ("purple_circle", "large_purple_circle"),
    ("raised_eyebrow", "face_with_raised_eyebrow"),
    ("red_square", "large_red_square"),
    ("green_square", "large_green_square"),
    ("yellow_square", "large_yellow_square"),
    ("rofl", "rolling_on_the_floor_laughing"),
    ("roll_eyes", "face_with_rolling_eyes"),
    ("smiling_face_with_three_hearts", "smiling_face_with_3_hearts"),
    ("spiral_notepad", "spiral_note_pad"),
    ("star_struck", "star-struck"),
    ("stop_button", "black_square_for_stop"),
    ("thinking", "thinking_face"),
    ("tickets", "admission_tickets"),
    ("vulcan_salute", "spock-hand"),
    ("yellow_circle", "large_yellow_circle"),
    ("zipper_mouth", "zipper_mouth_face"),
];

/// Emoji by their Unicode name, in the form of a shortcode.
static BY_NAME: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    emojis::iter()
        .map(|emoji| {
            let words = emoji.name().split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            (words.collect::<Vec<_>>().join("_").to_lowercase(), emoji.as_str())
        })
        .collect()
});

/// The tone that comes first in Slack's `skin-tone-2` to `skin-tone-6`.
const TONES: [SkinTone; 5] =
    [SkinTone::Light, SkinTone::MediumLight, SkinTone::Medium, SkinTone::MediumDark, SkinTone::Dark];

/// The emoji with this name, without the colons around it; a custom one if no unicode emoji has it.
pub fn emoji(name: &str) -> Emoji {
    unicode(name).map_or_else(|| Emoji::custom(name), Emoji::unicode)
}

/// The name of an emoji, without the colons around it; none if it has none.
pub fn name_of(emoji: &Emoji) -> Option<String> {
    let standard = emoji.standard();
    let text = match standard.as_ref().unwrap_or(emoji) {
        Emoji::Custom { custom } => return Some(custom.clone()),
        Emoji::Unicode(text) => text,
    };
    if let Some(country) = country_of(text) {
        return Some(format!("flag-{country}"));
    }
    let found = emojis::get(text)?;
    let code = found.shortcode().or_else(|| found.with_skin_tone(SkinTone::Default)?.shortcode())?;
    let name = RENAMED.iter().find(|(github, _)| *github == code).map_or(code, |(_, slack)| slack);
    let tone = found.skin_tone().and_then(|tone| TONES.iter().position(|known| *known == tone));
    Some(match tone {
        Some(tone) => format!("{name}::skin-tone-{}", tone + 2),
        None => name.to_owned(),
    })
}

/// The text with unicode emoji in place of the names of such.
pub fn expand(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(':') {
        out.push_str(before);
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '\'')));
        let name = end.and_then(|end| after.split_at_checked(end)).filter(|(_, after)| after.starts_with(':'));
        match name.and_then(|(name, after)| Some((name, unicode(name)?, after.strip_prefix(':')?))) {
            Some((name, plain, after)) => {
                let toned = after.strip_prefix(":skin-tone-").and_then(|rest| rest.split_once(':'));
                let toned =
                    toned.and_then(|(tone, after)| Some((unicode(&format!("{name}::skin-tone-{tone}"))?, after)));
                let (emoji, after) = toned.unwrap_or((plain, after));
                out.push_str(&emoji);
                rest = after;
            }
            None => {
                out.push(':');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn unicode(name: &str) -> Option<String> {
    if let Some((name, tone)) = name.split_once("::skin-tone-") {
        let tone = TONES.get(tone.parse::<usize>().ok()?.checked_sub(2)?)?;
        return Some(emojis::get(&unicode(name)?)?.with_skin_tone(*tone)?.as_str().to_owned());
    }
    if let Some(country) = name.strip_prefix("flag-") {
        return flag(country);
    }
    let renamed = RENAMED.iter().find(|(_, slack)| *slack == name).map(|(github, _)| *github);
    let underscored = name.replace('-', "_");
    emojis::get_by_shortcode(renamed.unwrap_or(name))
        .or_else(|| emojis::get_by_shortcode(&underscored))
        .map(|emoji| emoji.as_str().to_owned())
        .or_else(|| BY_NAME.get(&underscored).map(|emoji| (*emoji).to_owned()))
}

/// Regional indicators are the letters of a country's code, moved up in Unicode by this much.
const REGIONAL: u32 = 0x1F1E6 - 'a' as u32;

fn flag(country: &str) -> Option<String> {
    let flag: String = country
        .chars()
        .map(|letter| char::from_u32(letter as u32 + REGIONAL).filter(|_| letter.is_ascii_lowercase()))
        .collect::<Option<_>>()?;
    emojis::get(&flag).map(|flag| flag.as_str().to_owned())
}

fn country_of(text: &str) -> Option<String> {
    let letters = text.chars().map(|indicator| {
        let letter = char::from_u32((indicator as u32).checked_sub(REGIONAL)?)?;
        letter.is_ascii_lowercase().then_some(letter)
    });
    letters.collect::<Option<String>>().filter(|letters| letters.len() == 2)
}
