//! The form of the page, and that it does not grow.

use std::collections::BTreeMap;

use http::Method;
use serde_json::json;
use testkit::Gateway;

use crate::page::{Family, Page};

#[tokio::test]
async fn every_metric_is_ours_has_a_help_text_a_base_unit_and_a_series() {
    let page = Page::of(&Gateway::start().await).await;
    for (name, family) in &page.families {
        assert!(name.starts_with("tollgate_"), "{name}");
        assert!(family.help.ends_with('.') && family.help.len() > 10, "{name}: {}", family.help);
        assert!(!family.series.is_empty(), "{name} is exported by name alone");
        assert!(!["_ms", "_ns", "_kb", "_mb", "_total"].iter().any(|end| name.ends_with(end)), "{name}");
        let in_seconds = family.kind == "histogram" || name.ends_with("_timestamp_seconds");
        assert_eq!(in_seconds, name.ends_with("_seconds"), "{name}");
    }
    assert!(page.families.len() >= 20, "{:?}", page.families.keys());
}

/// `name_bucket{le="1.0",route="x"}`: the other labels as they are written, and the bound.
fn bucket(series: &str) -> (String, f64) {
    let (_, labels) = series.split_once("{le=\"").expect("the bound comes first");
    let (bound, others) = labels.split_once('"').unwrap();
    (others.trim_start_matches(',').trim_end_matches('}').to_owned(), bound.parse().unwrap())
}

fn check_histogram(name: &str, family: &Family) {
    let mut of_labels: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (series, count) in family.series.iter().filter(|(series, _)| series.contains("_bucket{")) {
        let (labels, bound) = bucket(series);
        of_labels.entry(labels).or_default().push((bound, *count));
    }
    for (labels, buckets) in of_labels {
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name} {labels}: {buckets:?}");
        let all =
            if labels.is_empty() { format!("{name}_count") } else { format!("{name}_count{{{labels}}}") };
        let (_, count) = family.series.iter().find(|(series, _)| *series == all).unwrap();
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{name} {labels}");
    }
}

#[tokio::test]
async fn histograms_are_cumulative_and_end_with_all_of_them() {
    let gw = Gateway::start().await;
    let customer = gw.customer("somebody", json!([{ "slug": "acme/m1" }])).await;
    for _ in 0..3 {
        gw.chat(&customer.key, "acme/m1").await.expect(200);
    }
    let page = Page::of(&gw).await;
    let histograms: Vec<_> = page.families.iter().filter(|(_, family)| family.kind == "histogram").collect();
    assert_eq!(histograms.len(), 3);
    for (name, family) in histograms {
        check_histogram(name, family);
    }
}

#[tokio::test]
async fn whoever_calls_whatever_there_are_as_many_series_as_before() {
    let gw = Gateway::start().await;
    let before = Page::of(&gw).await;
    for n in 0..8 {
        let customer = gw.customer(&format!("customer-{n}"), json!([{ "slug": "acme/m1" }])).await;
        gw.endpoint(&format!("acme/new-{n}")).await;
        gw.chat(&customer.key, "acme/m1").await.expect(200);
        gw.chat(&customer.key, &format!("acme/new-{n}")).await.expect(403);
        gw.chat(&format!("nobody-{n}"), "acme/m1").await.expect(401);
        gw.request(Method::GET, &format!("/nowhere/{n}")).send().await.expect(404);
    }
    let after = Page::of(&gw).await;
    assert_eq!(after.series(), before.series());
    assert!(after.series().len() < 500, "{}", after.series().len());
    let text = gw.get("/metrics").await.text;
    for secretive in ["acme", "customer-", "new-", "nobody", "nowhere"] {
        assert!(!text.contains(secretive), "{secretive}");
    }
}
