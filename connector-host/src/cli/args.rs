use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::CliError;

/// Connects the accounts of your users to your product, both ways.
#[derive(Debug, Parser)]
#[command(version, about, args_conflicts_with_subcommands = false)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(flatten)]
    pub(super) serve: Serve,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Args)]
pub(super) struct Global {
    /// The configuration file [default: connectors.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE", env = "CONNECTORS_CONFIG")]
    pub(super) config: Option<PathBuf>,
    /// The database [default: sqlite:connectors.db]
    #[arg(long, global = true, value_name = "sqlite:FILE")]
    pub(super) database: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// What to log, such as `info` or `connector_core=debug` [default: info for serve, else warn]
    #[arg(long, global = true, value_name = "FILTER", env = "RUST_LOG")]
    pub(super) log: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where the API listens [default: 127.0.0.1:7300]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) listen: Option<String>,
    /// What redirect and webhook URLs begin with
    #[arg(long, value_name = "URL")]
    pub(super) public_url: Option<String>,
}

impl Serve {
    /// The command, with the options of `serve` that were given before its name.
    pub(super) fn given_to(self, command: Option<Command>) -> Result<Command, CliError> {
        match command {
            None => Ok(Command::Serve(self)),
            Some(Command::Serve(own)) => Ok(Command::Serve(Self {
                listen: own.listen.or(self.listen),
                public_url: own.public_url.or(self.public_url),
            })),
            Some(other) => {
                let given = [("--listen", self.listen), ("--public-url", self.public_url)];
                match given.into_iter().find(|(_, value)| value.is_some()) {
                    Some((option, _)) => Err(CliError::Usage(format!(
                        "`{option}` is an option of `serve`: other commands find the server by the database"
                    ))),
                    None => Ok(other),
                }
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the API and run the connectors (the default)
    Serve(Serve),
    /// List the connectors
    List,
    /// Show what a connector declares
    Show {
        /// Its id
        id: String,
    },
    /// Make a connector crate that compiles, with a test, in a new folder
    New {
        /// What the service is called, such as `acme-mail`
        name: String,
        /// A checkout of the framework to depend on [default: the version of this program]
        #[arg(long, value_name = "CHECKOUT")]
        path: Option<std::path::PathBuf>,
    },
    /// Print the manifest of all connectors, or check it against an older one
    Manifest {
        /// Print what would break connections that were made under this manifest; fail if anything would
        #[arg(long, value_name = "OLD.json")]
        check: Option<PathBuf>,
    },
    /// Connect an account
    Connect(Connect),
    /// List connections
    Connections {
        /// Of this user
        #[arg(long)]
        user: Option<String>,
    },
    /// List the channels of a connection, as the service has them now
    Channels {
        /// Its id
        connection: String,
    },
    /// Enable channels of a connection: they are synced from now on
    Enable {
        /// Its id
        connection: String,
        /// Ids or names of channels
        #[arg(required = true)]
        channels: Vec<String>,
        /// Only look: write nothing back
        #[arg(long)]
        observe_only: bool,
    },
    /// Disable channels of a connection
    Disable {
        /// Its id
        connection: String,
        /// Ids or names of channels
        #[arg(required = true)]
        channels: Vec<String>,
    },
    /// End a connection, and remove what belongs to it
    Disconnect {
        /// Its id
        connection: String,
    },
    /// Let a suspended or rate-limited connection go on
    Resume {
        /// Its id
        connection: String,
    },
    /// Show the declared work of a connection: what runs, when, and what came of it
    Work {
        /// Its id
        connection: String,
    },
    /// Look for changes now
    Sync {
        /// Id of a connection
        connection: String,
        /// Wait until all enabled channels are synced
        #[arg(long)]
        wait: bool,
    },
    /// List threads, those changed last first
    Threads(ThreadFilter),
    /// Show a thread with its links and notes
    Thread {
        /// Its id
        id: String,
        /// As this user sees it
        #[arg(long)]
        user: Option<String>,
    },
    /// Write a note in a thread
    Reply(Reply),
    /// Change the status of a link
    SetStatus(SetStatus),
    /// Send again what did not reach the service: a note, a composed link, or the changes of a link
    Retry(Undelivered),
    /// Discard what did not reach the service: a note, a composed link, or the changes of a link, which is then as it was
    Discard(Undelivered),
    /// List what takes place between two times
    Agenda(Agenda),
    /// Make, move and cancel events, and answer invitations
    Event {
        #[command(subcommand)]
        command: EventCommand,
    },
    /// List the tasks that wait or run, or the dead letters
    Tasks {
        /// The dead letters
        #[arg(long)]
        dead: bool,
        /// Of this connection
        #[arg(long)]
        connection: Option<String>,
    },
    /// Retry or discard a task
    Task {
        #[command(subcommand)]
        command: TaskCommand,
    },
    /// List what services pushed, and hand it over again
    Hooks {
        #[command(subcommand)]
        command: HooksCommand,
    },
    /// Show the stored state of a connection
    State {
        /// Its id
        connection: String,
        /// Only keys that begin so
        prefix: Option<String>,
    },
    /// The keys under which secrets are stored
    Vault {
        #[command(subcommand)]
        command: VaultCommand,
    },
    /// Create, list and revoke API keys
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
}

impl Command {
    /// Whether it is for something that the workers do.
    pub(super) fn needs_workers(&self) -> bool {
        match self {
            Self::Sync { wait, .. } => *wait,
            Self::Reply(reply) => !reply.no_wait,
            Self::SetStatus(change) => !change.no_wait,
            Self::Retry(undelivered) => !undelivered.no_wait,
            Self::Enable { .. } | Self::Disable { .. } => true,
            _ => false,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Connect {
    /// The connector
    pub(super) connector: String,
    /// Whose connection it is
    #[arg(long)]
    pub(super) user: String,
    /// What it is called [default: what the service calls the account]
    #[arg(long)]
    pub(super) name: Option<String>,
    /// The user's workspace
    #[arg(long)]
    pub(super) workspace: Option<String>,
    /// An option of the connector; several may be given. The value `-` reads it from the standard input, as a key that
    /// others must not see in the list of processes
    #[arg(long = "option", value_name = "NAME=VALUE")]
    pub(super) options: Vec<String>,
    /// An optional group of scopes to ask for; several may be given [default: those that the connector switches on]
    #[arg(long = "scope-group", value_name = "ID")]
    pub(super) scope_groups: Vec<String>,
    /// An access token; `-` reads it from the standard input. Without it, that of CONNECTORS_TOKEN is taken; without
    /// that too, the page to authorize at is printed
    #[arg(long)]
    pub(super) token: Option<String>,
    /// Keep nothing older than this many days
    #[arg(long, value_name = "DAYS")]
    pub(super) history_days: Option<u32>,
    /// Authorize this connection again, in place of making another: at its provider, or with the options that are given
    #[arg(long, value_name = "CONNECTION")]
    pub(super) again: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ThreadFilter {
    /// As this user sees them
    #[arg(long)]
    pub(super) user: Option<String>,
    /// Of this connection
    #[arg(long)]
    pub(super) connection: Option<String>,
    /// In this channel
    #[arg(long)]
    pub(super) channel: Option<String>,
    /// With a link of this type
    #[arg(long = "type")]
    pub(super) link_type: Option<String>,
    /// With a link in this status
    #[arg(long)]
    pub(super) status: Option<String>,
    /// With these words in the title, the preview or a note; the best first
    #[arg(long, value_name = "TEXT")]
    pub(super) search: Option<String>,
    /// Also what is archived
    #[arg(long)]
    pub(super) archived: bool,
    /// At most this many [default: all]
    #[arg(long, value_name = "COUNT")]
    pub(super) limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(super) struct Reply {
    /// The thread
    pub(super) thread: String,
    /// What to write, as markdown; `-` reads it from the standard input
    pub(super) text: String,
    /// Who writes
    #[arg(long)]
    pub(super) user: String,
    /// The link that it answers [default: the newest that takes replies]
    #[arg(long)]
    pub(super) link: Option<String>,
    /// Files to attach
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(super) attach: Vec<PathBuf>,
    /// Do not wait until it has reached the service
    #[arg(long)]
    pub(super) no_wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct Undelivered {
    /// Id of the note or link
    pub(super) id: String,
    /// Who wrote or changed it
    #[arg(long)]
    pub(super) user: String,
    /// Do not wait until it has reached the service
    #[arg(long)]
    pub(super) no_wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct SetStatus {
    /// The link
    pub(super) link: String,
    /// The status
    pub(super) status: String,
    /// Who changes it
    #[arg(long)]
    pub(super) user: String,
    /// Do not wait until it has reached the service
    #[arg(long)]
    pub(super) no_wait: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum TaskCommand {
    /// Run a task again now
    Retry {
        /// Its id
        id: String,
    },
    /// Remove a task
    Discard {
        /// Its id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum HooksCommand {
    /// List what was received, newest first
    List {
        /// For this connection
        #[arg(long)]
        connection: Option<String>,
        /// Received at this time or later: `2026-01-31T08:00:00Z`
        #[arg(long)]
        since: Option<String>,
        /// Received before this time
        #[arg(long)]
        until: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Hand one over again, or all of a time
    Replay {
        /// Its id
        #[arg(required_unless_present = "since")]
        id: Option<String>,
        /// All that were received at this time or later
        #[arg(long, conflicts_with = "id")]
        since: Option<String>,
        /// And before this one
        #[arg(long, requires = "since")]
        until: Option<String>,
        /// Of this connection
        #[arg(long, requires = "since")]
        connection: Option<String>,
    },
}

/// What takes place.
#[derive(Debug, clap::Args)]
pub(super) struct Agenda {
    /// As this user sees it
    #[arg(long)]
    pub(super) user: Option<String>,
    /// Of this connection
    #[arg(long)]
    pub(super) connection: Option<String>,
    /// From this day or time on: `2026-01-31` or `2026-01-31T08:00:00Z`
    #[arg(long)]
    pub(super) from: String,
    /// Until before this day or time, at most 366 days later
    #[arg(long)]
    pub(super) to: String,
    /// The time zone of the user [default: UTC]
    #[arg(long)]
    pub(super) zone: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    pub(super) limit: usize,
}

#[derive(Debug, Subcommand)]
pub(super) enum EventCommand {
    /// Make an event in a calendar
    New(NewEvent),
    /// Move an event, or one occurrence of it
    Move(MoveEvent),
    /// Cancel one occurrence of an event
    Cancel {
        /// Id of its link
        link: String,
        /// When the occurrence begins as the series says: `2026-01-31` or `2026-01-31T08:00:00Z`
        #[arg(long)]
        occurrence: String,
        /// As this user
        #[arg(long)]
        user: String,
        /// Do not wait until it is at the service
        #[arg(long)]
        no_wait: bool,
    },
    /// Say whether someone attends
    Answer {
        /// Id of the schedule, which `agenda` shows with --json: `lnk_5:KEY`
        schedule: String,
        /// The service's id of who attends
        contact: String,
        /// attend, skip, tentative or none
        #[arg(value_parser = ["attend", "skip", "tentative", "none"])]
        answer: String,
        /// Only for the occurrence that begins then as the series says
        #[arg(long)]
        occurrence: Option<String>,
        /// As this user
        #[arg(long)]
        user: String,
    },
}

/// An event that is made.
#[derive(Debug, clap::Args)]
pub(super) struct NewEvent {
    /// Its title
    pub(super) title: String,
    /// As this user
    #[arg(long)]
    pub(super) user: String,
    /// By this connection
    #[arg(long)]
    pub(super) connection: String,
    /// In this channel
    #[arg(long)]
    pub(super) channel: String,
    /// Its type
    #[arg(long = "type", default_value = "event")]
    pub(super) link_type: String,
    #[command(flatten)]
    pub(super) times: Times,
    /// A line of its recurrence, such as `RRULE:FREQ=WEEKLY;COUNT=4`
    #[arg(long = "recurrence", value_name = "LINE")]
    pub(super) recurrence: Vec<String>,
    /// Where it takes place
    #[arg(long)]
    pub(super) location: Option<String>,
    /// Its text
    #[arg(long)]
    pub(super) text: Option<String>,
    /// Invite this address
    #[arg(long = "invite", value_name = "ADDRESS")]
    pub(super) invite: Vec<String>,
    /// Do not wait until it is at the service
    #[arg(long)]
    pub(super) no_wait: bool,
}

/// An event that is moved.
#[derive(Debug, clap::Args)]
pub(super) struct MoveEvent {
    /// Id of its link
    pub(super) link: String,
    /// As this user
    #[arg(long)]
    pub(super) user: String,
    #[command(flatten)]
    pub(super) times: Times,
    /// Only the occurrence that begins then as the series says
    #[arg(long)]
    pub(super) occurrence: Option<String>,
    /// Do not wait until it is at the service
    #[arg(long)]
    pub(super) no_wait: bool,
}

/// When something takes place.
#[derive(Debug, clap::Args)]
pub(super) struct Times {
    /// Begins: a day `2026-01-31`, an instant `2026-01-31T08:00:00Z`, or a time of the zone `2026-01-31T09:00`
    #[arg(long)]
    pub(super) start: String,
    /// Ends; for days, the first day after it. A moved event takes as long as before without it
    #[arg(long)]
    pub(super) end: Option<String>,
    /// Time zone of the times, and that the event recurs in
    #[arg(long)]
    pub(super) zone: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key; it is shown this once
    Create {
        /// What it is for
        name: String,
    },
    /// List the keys
    List,
    /// Let a key open nothing any more
    Revoke {
        /// Its name
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Design 6.1: the commands and their flags go together, and no command means `serve`.
    #[test]
    fn the_commands_go_together() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["connectors", "--listen", "127.0.0.1:1"]).expect("arguments");
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.listen.as_deref(), Some("127.0.0.1:1"));
        let cli = Cli::try_parse_from(["connectors", "threads", "--status", "open", "--json"]);
        assert!(cli.expect("arguments").global.json);
        assert!(Cli::try_parse_from(["connectors", "enable", "con_1"]).is_err());
        let agenda = ["connectors", "agenda", "--from", "2026-01-01", "--to", "2026-02-01", "--zone", "Europe/Berlin"];
        assert!(Cli::try_parse_from(agenda).is_ok());
        let moved = ["connectors", "event", "move", "lnk_1", "--user", "ada", "--start", "2026-01-05"];
        assert!(Cli::try_parse_from(moved).is_ok());
        assert!(
            Cli::try_parse_from(["connectors", "event", "answer", "lnk_1:a", "b", "maybe", "--user", "ada"]).is_err()
        );
    }

    fn parsed(line: &str) -> Result<Command, CliError> {
        let cli = Cli::try_parse_from(line.split(' ')).expect("the line can be parsed");
        cli.serve.given_to(cli.command)
    }

    /// R13.3: where an option of `serve` stands makes no difference, and other commands do not drop it.
    #[test]
    fn options_of_serve_count_before_and_after_its_name() {
        for line in [
            "connectors --listen a:1 --public-url b",
            "connectors --listen a:1 serve --public-url b",
            "connectors serve --listen a:1 --public-url b",
            "connectors --listen c:2 --public-url b serve --listen a:1",
        ] {
            let Ok(Command::Serve(serve)) = parsed(line) else { panic!("{line} serves") };
            assert_eq!((serve.listen.as_deref(), serve.public_url.as_deref()), (Some("a:1"), Some("b")), "{line}");
        }
        let error = parsed("connectors --listen a:1 connections").expect_err("it listens nowhere");
        assert!(matches!(&error, CliError::Usage(text) if text.contains("`--listen`")), "{error}");
        assert!(matches!(parsed("connectors connections"), Ok(Command::Connections { .. })));
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum VaultCommand {
    /// Seal credentials and secure options under a new key, while the host runs. To replace the operator's key too,
    /// put the new one first in the key file before; the old one can go after
    Rotate,
}
