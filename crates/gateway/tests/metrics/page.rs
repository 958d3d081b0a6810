//! A strict reader of the text form of `OpenMetrics` 1.0, as far as it is used here.

use std::collections::BTreeMap;

use http::Method;
use testkit::Gateway;

/// What was scraped.
#[derive(Debug)]
pub(crate) struct Page {
    /// By name, in the order of names.
    pub(crate) families: BTreeMap<String, Family>,
}

/// All series of one metric.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    /// Name and labels as they are written, and the value.
    pub(crate) series: Vec<(String, f64)>,
}

impl Page {
    /// Scrapes with the operator's key.
    pub(crate) async fn of(gw: &Gateway) -> Self {
        Self::read(&gw.manage(Method::GET, "/metrics").send().await.expect(200).text)
    }

    /// Fails at whatever has not the form.
    pub(crate) fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("the text ends with its end");
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut open = String::new();
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help text");
                let family = Family { help: help.to_owned(), ..Family::default() };
                assert!(families.insert(name.to_owned(), family).is_none(), "{name} comes twice");
                open = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(name, open);
                families.get_mut(name).unwrap().kind = kind.to_owned();
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a value");
                let name = series.split('{').next().unwrap();
                let family = families.get_mut(&open).expect("a family before its series");
                assert!(suffixes(&family.kind).iter().any(|end| name == format!("{open}{end}")), "{line}");
                family.series.push((series.to_owned(), value.parse().expect("a number")));
            }
        }
        Self { families }
    }

    /// The value of a series, written as it is in the text.
    #[track_caller]
    pub(crate) fn value(&self, series: &str) -> f64 {
        let mut all = self.families.values().flat_map(|family| &family.series);
        all.find(|(name, _)| name == series)
            .unwrap_or_else(|| panic!("no {series} in {:#?}", self.series()))
            .1
    }

    /// All series, without their values.
    pub(crate) fn series(&self) -> Vec<&str> {
        self.families.values().flat_map(|family| &family.series).map(|(series, _)| series.as_str()).collect()
    }

    /// The sum over every series of a name.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let all = self.families.values().flat_map(|family| &family.series);
        all.filter(|(series, _)| series.split('{').next() == Some(name)).map(|(_, value)| value).sum()
    }
}

fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "counter" => &["_total"],
        "gauge" => &[""],
        "info" => &["_info"],
        "histogram" => &["_sum", "_count", "_bucket"],
        other => panic!("{other} is no type that is used here"),
    }
}
