//! Callers who leave, bursts, restarts, kills and a store that cannot write, over real sockets and a real process.
//! Whatever was accepted is done in the end.
//!
//! `STRESS_SECONDS` says how long it goes on (8 if it is not set), and `STRESS_SEED` with which random numbers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector_core::engine::{TaskQuery, TaskRow};
use connector_core::registry::Registry;
use connector_core::testing::VirtualClock;
use connector_host::Host;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::desk::{Bench, Desk, KEY, config, ids, second};
use crate::fuzz::Dice;

/// Seconds if `STRESS_SECONDS` does not say.
const SECONDS: u64 = 8;

/// Clients of one burst.
const BURST: usize = 40;

/// Looks at the host until nothing is under way.
const LOOKS: usize = 5_000_000;

/// Looks in a row at which nothing is under way, after which nothing will be.
const STILL: usize = 2_000;

/// How far the clock moves so that what failed is tried again: more than the longest time between two attempts.
const LATER: i64 = 2 * 60 * 60;

/// How often the clock moves that far until all that failed must have been done.
const TIMES: usize = 12;

/// The folder of the database, for the process that is the host.
const FOLDER: &str = "STRESS_FOLDER";

/// What the clock of the host shows, in seconds after that of the tests.
const CLOCK: &str = "STRESS_CLOCK";

/// Begins a line that the host says to the test. The harness writes on the same output.
const SAYS: char = '@';

/// Runs the host: the other process. It does what the lines of its input say, and answers each with a line.
async fn be_the_host(folder: &Path) {
    let clock = VirtualClock::new(second(i64::try_from(number(CLOCK, 0)).expect("seconds")));
    let registry = Registry::of::<Desk>().expect("a registry");
    let host = Host::open_with_clock(config(folder), registry, Arc::new(clock.clone())).await.expect("a host");
    let known = host.runtime().ports().engine.feed_end().await.expect("the feed");
    host.start().await.expect("workers");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    println!("{SAYS}{}", listener.local_addr().expect("an address"));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn({
        let host = host.clone();
        async move {
            host.serve(listener, async move { stopped.await.unwrap_or_default() }).await.expect("it serves");
        }
    });
    let (hears, mut lines) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut lines = std::io::stdin().lines();
        while lines.next().is_some_and(|line| hears.send(line.expect("a line")).is_ok()) {}
    });
    while let Some(line) = lines.recv().await {
        match line.as_str() {
            "rest" => println!("{SAYS}{}", comes_to_rest(&host, known).await),
            "later" => {
                clock.advance(SignedDuration::from_secs(LATER));
                println!("{SAYS}");
            }
            _ => break,
        }
    }
    stop.send(()).expect("it serves");
    serving.await.expect("it ends");
    host.shutdown().await.expect("an end in order");
    println!("{SAYS}");
}

/// Tasks of the store that are due.
async fn due(host: &Host) -> Vec<TaskRow> {
    let ports = host.runtime().ports();
    let now = ports.clock.now();
    let tasks = ports.engine.tasks(TaskQuery::all(100_000)).await.expect("tasks");
    tasks.into_iter().filter(|task| task.run_at.is_none_or(|at| at <= now)).collect()
}

/// Waits until nothing is under way, and says what is due all the same: nothing, or a fault.
async fn comes_to_rest(host: &Host, known: u64) -> String {
    let (mut looks, mut still) = (0, 0);
    while still < STILL && looks < LOOKS {
        let (ready, _, running) = host.runtime().queue_depths();
        still = if ready + running == 0 { still + 1 } else { 0 };
        if still == 1 && due(host).await.is_empty() {
            break;
        }
        looks += 1;
        tokio::task::yield_now().await;
    }
    let left = due(host).await;
    if !left.is_empty() {
        let depths = host.runtime().queue_depths();
        return format!("these tasks are due and do not run, with {depths:?} in the queue: {left:?}")
            .replace('\n', " ");
    }
    let feed = host.runtime().ports().engine.feed_end().await.expect("the feed");
    for _ in 0..LOOKS {
        if feed == known || *host.runtime().feed_changes().borrow() >= feed {
            return String::new();
        }
        tokio::task::yield_now().await;
    }
    format!("readers of the feed were not told of {feed}")
}

/// The process that is the host.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Process {
    fn start(folder: &Path, clock: i64) -> Self {
        // A write beyond a limit of the system is an error then, and does not end the process.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(std::env::current_exe().expect("this program"));
        command.args(["--exact", "stress::what_was_accepted_is_done_whatever_callers_do", "--nocapture"]);
        command.env(FOLDER, folder).env(CLOCK, clock.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the host starts");
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut process = Self { child, input, output, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        process.address = process.hear().parse().expect("an address");
        process
    }

    /// The next thing that the host says.
    fn hear(&mut self) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).expect("output") > 0 {
            if let Some((_, said)) = line.split_once(SAYS) {
                return said.trim_end().to_owned();
            }
            line.clear();
        }
        panic!("the host has ended: {:?}", self.child.wait());
    }

    fn tell(&mut self, what: &str) {
        writeln!(self.input, "{what}").expect("the host listens");
    }

    fn ask(&mut self, what: &str) -> String {
        self.tell(what);
        self.hear()
    }

    /// Waits for the end of a host that was told to stop.
    fn stopped(mut self) {
        self.hear();
        assert!(self.child.wait().expect("it ends").success());
    }

    /// From now on, no file takes a write beyond this many bytes. Whether the system can do that.
    fn limit_files(&self, bytes: &str) -> bool {
        let process = self.child.id().to_string();
        let limit = format!("--fsize={bytes}:");
        Command::new("prlimit").args(["--pid", &process, &limit]).status().is_ok_and(|status| status.success())
    }

    /// What a request is answered.
    async fn get(&self, path: &str) -> Value {
        let answer = send(self.address, ("GET".into(), path.into(), Value::Null), None).await.expect("an answer");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What a client asks for.
fn request(dice: &mut Dice, connections: &[String], threads: &[String], links: &[String]) -> (String, String, Value) {
    let connection = &connections[dice.below(connections.len())];
    let user = ["ada", "bob", "eve"][dice.below(3)];
    let thread = threads.get(dice.below(threads.len()));
    match (dice.below(10), thread) {
        (0..=3, Some(thread)) => {
            let content = if dice.one_in(20) { "refuse me" } else { "On it." };
            ("POST".into(), format!("/threads/{thread}/notes"), json!({"user": user, "content": content}))
        }
        (4 | 5, Some(_)) => {
            let link = &links[dice.below(links.len())];
            let status = ["open", "closed"][dice.below(2)];
            ("PATCH".into(), format!("/links/{link}"), json!({"user": user, "status": status, "assignee": null}))
        }
        (6, _) => {
            let options = json!({"tickets": 1 + dice.below(20)});
            ("PATCH".into(), format!("/connections/{connection}"), json!({"options": options}))
        }
        (7, _) => {
            let method = ["PUT", "DELETE"][dice.below(2)];
            (method.into(), format!("/connections/{connection}/channels/a%2Fb%20c"), Value::Null)
        }
        _ => ("POST".into(), format!("/connections/{connection}/sync"), Value::Null),
    }
}

struct Answer {
    status: u16,
    body: Value,
}

/// Sends a request; then waits for the answer, or leaves a few milliseconds later.
async fn send(
    address: SocketAddr,
    (method, path, body): (String, String, Value),
    leaves: Option<Duration>,
) -> Option<Answer> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(address).await.ok()?;
    let head = format!(
        "{method} /api/v1{path} HTTP/1.0\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    match leaves {
        Some(after) => {
            tokio::time::timeout(after, stream.read_to_end(&mut answer)).await.ok()?.ok()?;
        }
        None => {
            stream.read_to_end(&mut answer).await.ok()?;
        }
    }
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Answer { status: head.split(' ').nth(1)?.parse().ok()?, body: serde_json::from_str(body).unwrap_or_default() })
}

/// What a reader of the feed knows, who has seen nothing else.
#[derive(Default)]
struct Reader {
    after: u64,
    /// Links and notes by their ids.
    known: BTreeMap<String, Value>,
}

impl Reader {
    async fn catch_up(&mut self, process: &Process) {
        loop {
            let changes = process.get(&format!("/changes?after={}&limit=1000", self.after)).await;
            for change in changes["items"].as_array().expect("items") {
                if matches!(change["kind"].as_str(), Some("link" | "note")) {
                    self.known.insert(change["id"].as_str().expect("an id").to_owned(), change["data"].clone());
                }
            }
            let next = changes["next"].as_u64().expect("a position");
            if std::mem::replace(&mut self.after, next) == next {
                return;
            }
        }
    }
}

/// The users' things.
struct Things {
    folder: PathBuf,
    connections: Vec<String>,
    threads: Vec<String>,
    links: Vec<String>,
    reader: Reader,
    /// Notes that the host said to have accepted.
    accepted: Vec<String>,
}

impl Things {
    /// Waits until nothing is under way; what waits after that, which must be right in all else.
    async fn rest(&mut self, process: &mut Process, when: &str) -> Option<String> {
        let due = process.ask("rest");
        if due.is_empty() { self.look(process, when).await } else { Some(due) }
    }

    /// Whether something waits that people see. All else must be right.
    async fn look(&mut self, process: &Process, when: &str) -> Option<String> {
        let mut waits = None;
        for connection in &self.connections {
            let seen = process.get(&format!("/connections/{connection}")).await;
            assert_eq!(seen["status"], "active", "{when}: {seen}");
            if seen["syncing"] != false {
                waits = Some(seen.to_string());
            }
        }
        self.reader.catch_up(process).await;
        self.threads = ids(&process.get("/threads?limit=200").await).into_iter().map(str::to_owned).collect();
        self.links.clear();
        for thread in &self.threads {
            let thread = process.get(&format!("/threads/{thread}")).await;
            for link in thread["links"].as_array().expect("the links of a thread") {
                let id = link["id"].as_str().expect("an id");
                let mut link = link.clone();
                // Only a thread says by which connections it is seen.
                link.as_object_mut().expect("an object").remove("seen_by");
                assert_eq!(self.reader.known.get(id), Some(&link), "{when}: the feed and the thread differ");
                self.links.push(id.to_owned());
            }
            for note in thread["notes"].as_array().expect("the notes of a thread") {
                let id = note["id"].as_str().expect("an id");
                assert_eq!(self.reader.known.get(id), Some(note), "{when}: the feed and the thread differ");
            }
        }
        let pending = |note: &&Value| note["delivery"]["state"] == "pending";
        waits = waits.or_else(|| self.reader.known.values().find(pending).map(Value::to_string));
        for note in &self.accepted {
            let note_is_there = self.reader.known.get(note).is_some_and(Value::is_object);
            assert!(note_is_there, "{when}: {note} was accepted, and is lost");
        }
        waits
    }
}

/// What happens to the host in a round, beside its callers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    Nothing,
    Stop,
    Kill,
    NoRoom,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_is_done_whatever_callers_do() {
    if let Ok(folder) = std::env::var(FOLDER) {
        return be_the_host(Path::new(&folder)).await;
    }
    let (seconds, seed) = (number("STRESS_SECONDS", SECONDS), number("STRESS_SEED", 1));
    println!("STRESS_SEED={seed} STRESS_SECONDS={seconds}");
    let mut dice = Dice(seed);
    let bench = Bench::new("stress").await;
    let mut connections = Vec::new();
    for user in ["ada", "bob", "eve"] {
        connections.push(bench.synced(user).await);
    }
    bench.host.shutdown().await.expect("an end in order");
    let folder = bench.directory.clone();
    let (threads, links, accepted) = Default::default();
    let mut things = Things { folder, connections, threads, links, reader: Reader::default(), accepted };
    let began = Instant::now();
    let (mut rounds, mut moved, mut clock) = (0, 0, 100_000_000);
    let (mut left, mut answered, mut refused) = (0_usize, 0_usize, 0_usize);
    let mut events = [0_usize; 4];
    let mut process = Process::start(&things.folder, clock);
    let can_limit = process.limit_files("unlimited");
    if !can_limit {
        println!("without a store that cannot write: the system has no `prlimit`");
    }
    assert_eq!(things.rest(&mut process, "at the start").await, None);
    while began.elapsed() < Duration::from_secs(seconds) || rounds < 8 {
        rounds += 1;
        let event = match (rounds + dice.below(2)) % 6 {
            0 => Event::Stop,
            1 => Event::Kill,
            3 if can_limit => Event::NoRoom,
            _ => Event::Nothing,
        };
        let when = format!("round {rounds} of seed {seed}, {event:?}");
        events[event as usize] += 1;
        if event == Event::NoRoom {
            // The log of the store is 16 MiB long from the start: its beginning can be written with some of the limits.
            let bytes = [0, 4_096, 60_000, 1_000_000, 20_000_000][dice.below(5)];
            assert!(process.limit_files(&bytes.to_string()));
        }
        let clients: Vec<_> = (0..BURST)
            .map(|_| {
                let request = request(&mut dice, &things.connections, &things.threads, &things.links);
                let leaves = (!dice.one_in(3))
                    .then(|| Duration::from_micros(u64::try_from(dice.below(4_000)).unwrap_or_default()));
                let begins = dice.below(2_000);
                let address = process.address;
                tokio::spawn(async move {
                    for _ in 0..begins {
                        tokio::task::yield_now().await;
                    }
                    (request.clone(), send(address, request, leaves).await)
                })
            })
            .collect();
        let half = dice.below(BURST);
        for (number, client) in clients.into_iter().enumerate() {
            if number == half {
                match event {
                    Event::Nothing => {}
                    Event::Stop => process.tell("stop"),
                    Event::Kill => process.child.kill().expect("it is killed"),
                    Event::NoRoom => assert!(process.limit_files("unlimited")),
                }
            }
            let ((method, path, _), answer) = client.await.expect("a client ends");
            let Some(Answer { status, body }) = answer else {
                left += 1;
                continue;
            };
            answered += 1;
            refused += usize::from(status == 503);
            assert!(status < 500 || status == 503, "{when}: {method} {path} was answered {status}: {body}");
            if status < 300 && path.ends_with("/notes") {
                things.accepted.push(body["id"].as_str().expect("the id of a note").to_owned());
            }
        }
        process = match event {
            Event::Nothing | Event::NoRoom => process,
            Event::Stop => {
                process.stopped();
                Process::start(&things.folder, clock)
            }
            Event::Kill => {
                process.child.wait().expect("it ends");
                Process::start(&things.folder, clock)
            }
        };
        let mut times = 0;
        while let Some(waits) = things.rest(&mut process, &when).await {
            // What met a store that could not write waits for a time by the clock of the host.
            let may_wait = matches!(event, Event::Kill | Event::NoRoom) && times < TIMES;
            assert!(may_wait, "{when}: after {times} times {LATER} seconds, this waits: {waits}");
            process.ask("later");
            clock += LATER;
            times += 1;
        }
        moved += times;
    }
    let [nothing, stops, kills, full] = events;
    println!(
        "{rounds} rounds: {nothing} in peace, {stops} with a stop, {kills} with a kill, {full} without room on the disk; \
         {answered} requests were answered ({refused} of them 503), {left} callers left before; {} notes accepted; \
         the clock moved {moved} times",
        things.accepted.len()
    );
    assert!(left > 0 && answered > 0 && !things.accepted.is_empty());
    process.tell("stop");
    process.stopped();
    std::fs::remove_dir_all(&things.folder).expect("the folder goes");
}
