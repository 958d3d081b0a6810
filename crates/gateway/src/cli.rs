//! What people type. One file for each command; this one says which there are.
//!
//! Exit codes: 0 done, 1 refused or found a problem, 2 wrong usage.

mod audit;
mod backup;
mod check;
mod client;
mod decision;
mod demo;
mod descriptors;
mod endpoints;
mod events;
mod explain;
mod groups;
mod history;
mod import;
mod keys;
mod ledger;
mod machine;
mod management_keys;
mod model_configs;
mod openapi;
mod output;
mod prices;
mod recover;
mod restore;
mod secrets;
mod serve;
mod signals;
mod span;
mod tree;
mod webhook;
mod workspace;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

use self::client::Access;

/// A self-hosted gateway that sells access to language models.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    Serve(serve::ServeArgs),
    /// Try everything at once: gateway, simulated model server, limits, one customer key. Ctrl-C removes it all.
    Demo(demo::DemoArgs),
    /// Say whether configuration and store are sound, and what a start would do. Changes nothing.
    Check(check::CheckArgs),
    /// Add the ledger up again and hold it against every sum, event and counter; fails on any difference.
    Audit(audit::AuditArgs),
    /// Copy store and journal into a directory, with the gateway running or not.
    Backup(backup::BackupArgs),
    /// Make a data directory of a backup.
    Restore(restore::RestoreArgs),
    /// Bring in groups and keys by the million, with the gateway stopped.
    Import(import::ImportArgs),
    /// Print what a gateway serves as /openapi.json: all its routes, for machines. Needs no gateway.
    Openapi,
    /// Customers: the tree of groups.
    Groups(Remote<groups::GroupsCommand>),
    /// Say what would become of a call now: admitted or refused, by which limit, until when. Charges nothing.
    Explain(explain::ExplainArgs),
    /// Say why a call was refused or admitted, by its request id, as long as that is kept.
    Decision(decision::DecisionArgs),
    /// What was billed: events in their order, of some keys or customers, as a table, CSV or JSON.
    Events(events::EventsArgs),
    /// Why a call was billed as it was, by its request id, and how that is put right.
    Ledger(Remote<ledger::LedgerCommand>),
    /// Customers' API keys.
    Keys(Remote<keys::KeysCommand>),
    /// Public model names and where they go.
    Endpoints(Remote<endpoints::EndpointsCommand>),
    /// What may be spent on models: budgets and rate limits by model, provider and scope.
    ModelConfigs(Remote<model_configs::ModelConfigsCommand>),
    /// What tokens cost, for models whose targets do not say.
    Prices(Remote<prices::PricesCommand>),
    /// Credentials for model servers.
    Secrets(Remote<secrets::SecretsCommand>),
    /// Where billing events are sent, and what could not be delivered.
    Webhook(Remote<webhook::WebhookCommand>),
    /// Tenants of the gateway, and who may manage them.
    Workspace(Remote<workspace::WorkspaceCommand>),
    /// Print what a shell needs to complete commands: `source <(tollgate completions bash)`.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// A shell that can complete our commands.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// A command that speaks to a running gateway.
#[derive(Debug, clap::Args)]
struct Remote<C: Subcommand> {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: C,
}

/// Runs the program with the arguments of this process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(cli.command.run()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "tollgate: {error:#}");
            if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::from(1) }
        }
    }
}

impl Command {
    async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Serve(args) => serve::run(args).await,
            Self::Demo(args) => demo::run(args).await,
            Self::Check(args) => check::run(&args),
            Self::Audit(args) => audit::run(args).await,
            Self::Backup(args) => backup::run(args).await,
            Self::Restore(args) => restore::run(args).await,
            Self::Import(args) => import::run(args).await,
            Self::Openapi => openapi::run(),
            Self::Groups(remote) => groups::run(&remote.access.client()?, remote.command).await,
            Self::Explain(args) => explain::run(args).await,
            Self::Decision(args) => decision::run(args).await,
            Self::Events(args) => events::run(args).await,
            Self::Ledger(remote) => ledger::run(&remote.access.client()?, remote.command).await,
            Self::Keys(remote) => keys::run(&remote.access.client()?, remote.command).await,
            Self::Endpoints(remote) => endpoints::run(&remote.access.client()?, remote.command).await,
            Self::ModelConfigs(remote) => model_configs::run(&remote.access.client()?, remote.command).await,
            Self::Prices(remote) => prices::run(&remote.access.client()?, remote.command).await,
            Self::Secrets(remote) => secrets::run(&remote.access.client()?, remote.command).await,
            Self::Webhook(remote) => webhook::run(&remote.access.client()?, remote.command).await,
            Self::Workspace(remote) => workspace::run(&remote.access, remote.command).await,
            Self::Completions { shell } => shell.complete(),
        }
    }
}

impl Shell {
    fn complete(self) -> anyhow::Result<()> {
        let shell = match self {
            Self::Bash => clap_complete::Shell::Bash,
            Self::Zsh => clap_complete::Shell::Zsh,
            Self::Fish => clap_complete::Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "tollgate", &mut script);
        std::io::stdout().write_all(&script)?;
        Ok(())
    }
}

/// The command line or the environment was wrong; nothing was tried.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A variable that is not Unicode is not left out, but read with marks in place of what is wrong: so it is refused
/// where it is checked, and a start does not go on as if nothing had been set.
fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The whole environment, for the settings in it.
fn environment_variables() -> impl Iterator<Item = (String, String)> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}
