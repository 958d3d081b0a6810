//! What is in `deploy/` against the gateway that it is for.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use gateway::config::{self, Config, read_duration};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::Gateway;

/// What a supervisor has to allow beyond `drain_delay` and `shutdown_grace`.
const TO_SPARE: Duration = Duration::from_secs(5);

fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    fs::read_to_string(root.join(path)).unwrap()
}

/// The rest of the first line that begins like this, whatever it is indented by.
#[track_caller]
fn setting<'a>(text: &'a str, begins: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.trim().strip_prefix(begins));
    found.unwrap_or_else(|| panic!("no {begins}")).trim()
}

#[track_caller]
fn duration(text: &str) -> Duration {
    read_duration(text.trim_end_matches(';')).unwrap()
}

/// A program that a test needs, if it is there.
fn program(name: &str) -> Option<PathBuf> {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found = places.iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
    if found.is_none() {
        println!("skipped: needs {name}");
    }
    found
}

#[track_caller]
fn succeeds(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Every name of ours in a text.
fn names(text: &str) -> BTreeSet<String> {
    let begins = text.match_indices("tollgate_").map(|(at, _)| &text[at..]);
    let name =
        |rest: &str| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().map(str::to_owned);
    begins.filter_map(name).collect()
}

/// What the panels of the dashboard ask.
fn asked(dashboard: &Value) -> BTreeSet<String> {
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.flat_map(|target| names(target["expr"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn the_dashboard_shows_every_metric_and_none_that_is_not_exported() {
    let gw = Gateway::start().await;
    let page = gw.get("/metrics").await.expect(200).text;
    let series: BTreeSet<_> = page.lines().filter(|line| !line.starts_with('#')).flat_map(names).collect();
    let dashboard: Value = serde_json::from_str(&file("grafana/tollgate.json")).unwrap();
    let asked = asked(&dashboard);
    assert_eq!(asked.difference(&series).collect::<Vec<_>>(), [""; 0], "asked for and not exported");
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for family in families {
        let shown = asked.iter().any(|name| name.starts_with(family));
        assert!(shown, "{family} is exported and on no panel");
    }
    assert!(names(&dashboard["templating"].to_string()).is_subset(&series));
}

#[test]
fn panels_of_the_dashboard_have_ids_of_their_own_and_do_not_overlap() {
    let dashboard: Value = serde_json::from_str(&file("grafana/tollgate.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        let number = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        for column in number("x")..number("x") + number("w") {
            for line in number("y")..number("y") + number("h") {
                assert!(column < 24 && taken.insert((column, line)), "{}", panel["title"]);
            }
        }
    }
}

#[test]
fn the_unit_gives_calls_their_time_to_finish_and_systemd_takes_it() {
    let unit = file("systemd/tollgate.service");
    let server = Config::defaults().unwrap().server;
    let stop = duration(setting(&unit, "TimeoutStopSec="));
    assert!(stop > server.drain_delay + server.shutdown_grace + TO_SPARE);
    let descriptors: usize = setting(&unit, "LimitNOFILE=").parse().unwrap();
    assert!(descriptors > 2 * server.max_connections);
    let Some(analyze) = program("systemd-analyze") else { return };
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tollgate.service");
    // The program is not installed where this test runs; everything else is looked at as it is.
    fs::write(&path, unit.replace("/usr/local/bin/tollgate", "/bin/true")).unwrap();
    succeeds(Command::new(analyze).arg("verify").arg(path));
}

#[test]
fn in_kubernetes_one_pod_ends_before_the_next_begins_and_its_configuration_is_one() {
    let manifest = file("kubernetes/tollgate.yaml");
    let (_, block) = manifest.split_once("tollgate.toml: |\n").unwrap();
    let lines = block.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tollgate.toml");
    fs::write(&path, lines.map(str::trim_start).collect::<Vec<_>>().join("\n")).unwrap();
    let server = config::load(Some(&path), std::iter::empty()).unwrap().server;
    let grace: u64 = setting(&manifest, "terminationGracePeriodSeconds:").parse().unwrap();
    assert!(Duration::from_secs(grace) > server.drain_delay + server.shutdown_grace + TO_SPARE);
    assert!(server.drain_delay > Duration::ZERO, "other nodes need a moment to hear of it");
    assert!(manifest.contains("type: Recreate"));
    for port in [server.listen.port(), server.admin_listen.unwrap().port()] {
        assert!(manifest.contains(&format!("containerPort: {port}")), "{port}");
    }
    let probes: BTreeSet<_> = manifest.match_indices("path: /healthz/").collect();
    assert_eq!(probes.len(), 3, "at start, for readiness, and for life");
    assert!(manifest.contains("prometheus.io/path: /metrics"));
}

#[test]
fn nginx_waits_as_long_as_the_gateway_does_and_takes_the_configuration() {
    let conf = file("nginx/tollgate.conf");
    let defaults = Config::defaults().unwrap();
    assert!(duration(setting(&conf, "proxy_read_timeout")) >= defaults.upstream.total_timeout);
    assert!(duration(setting(&conf, "keepalive_timeout")) < defaults.server.idle_timeout);
    assert_eq!(setting(&conf, "client_max_body_size"), format!("{}m;", defaults.server.max_body_mb));
    assert_eq!(setting(&conf, "proxy_buffering"), "off;");
    assert_eq!(setting(&conf, "proxy_next_upstream"), "off;");
    let Some(nginx) = program("nginx") else { return };
    let dir = TempDir::new().unwrap();
    let place = dir.path().display().to_string();
    let made = rcgen::generate_simple_self_signed(["models.example.com".to_owned()]).unwrap();
    for (end, pem) in [("pem", made.cert.pem()), ("key", made.signing_key.serialize_pem())] {
        fs::write(dir.path().join(format!("models.example.com.{end}")), pem).unwrap();
    }
    // Testing binds what is listened on, and 443 may be somebody's.
    let conf =
        conf.replace("/etc/nginx/tls", &place).replace("listen 443", &format!("listen unix:{place}/443"));
    fs::write(dir.path().join("tollgate.conf"), conf).unwrap();
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|of| format!("{of}_temp_path {place}/{of};"));
    let whole = format!(
        "pid {place}/pid; error_log stderr; events {{}} http {{ access_log off; {} include {place}/tollgate.conf; }}",
        paths.concat()
    );
    fs::write(dir.path().join("nginx.conf"), whole).unwrap();
    succeeds(
        Command::new(nginx).arg("-t").arg("-p").arg(&place).arg("-c").arg(dir.path().join("nginx.conf")),
    );
}

#[test]
fn what_is_not_built_here_says_so() {
    for path in ["docker/Dockerfile", "kubernetes/tollgate.yaml"] {
        assert!(file(path).contains("by continuous integration"), "{path}");
    }
    let commands: Value =
        json!(["serve", "--data-dir", "/data", "--listen", "0.0.0.0:8080", "--admin-listen", "0.0.0.0:8081"]);
    let written: Value = serde_json::from_str(setting(&file("docker/Dockerfile"), "CMD")).unwrap();
    assert_eq!(written, commands);
}
