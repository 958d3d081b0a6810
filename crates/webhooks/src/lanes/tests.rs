use domain::DeliveryId;
use storage::Delivery;

use super::*;

fn lane(workspace: u64, deliveries: usize, events: u64, next_due_ms: Option<u64>) -> Lane {
    let delivery = |_| Delivery {
        id: DeliveryId::from_bytes([0; 16]),
        workspace: WorkspaceId(workspace),
        first_sequence: 1,
        last_sequence: events,
        attempts: 0,
        first_attempt_ms: 0,
    };
    Lane {
        workspace: WorkspaceId(workspace),
        deliveries: (0..deliveries).map(delivery).collect(),
        next_due_ms,
    }
}

/// What is asked for where every workspace has deliveries of one event without end, and all of it is leased.
fn take(lanes: &mut Lanes, batch: u16) -> Vec<(u64, u16)> {
    let wanted = lanes.wanted(1, |_| Some(batch));
    for Wanted { workspace, most } in &wanted {
        lanes.began(&lane(workspace.0, usize::from(*most), u64::from(batch), Some(0)));
    }
    wanted.iter().map(|wanted| (wanted.workspace.0, wanted.most)).collect()
}

#[test]
fn a_workspace_has_its_share_and_no_more_until_an_attempt_ends() {
    let mut lanes = Lanes::default();
    lanes.ring(WorkspaceId(1));
    assert_eq!(take(&mut lanes, 1), [(1, 16)]);
    assert_eq!(take(&mut lanes, 1), []);
    lanes.ended(WorkspaceId(1), 1, Ending::Delivered);
    assert_eq!(take(&mut lanes, 1), [(1, 1)]);
}

#[test]
fn large_batches_are_few_so_that_bodies_in_memory_are_bounded() {
    let mut lanes = Lanes::default();
    (1..=20).for_each(|workspace| lanes.ring(WorkspaceId(workspace)));
    let taken = take(&mut lanes, 1_000);
    assert_eq!(taken.iter().map(|(_, most)| usize::from(*most) * 1_000).sum::<usize>(), 8_000);
    assert!(taken.iter().all(|(_, most)| *most <= 2), "{taken:?}");
}

#[test]
fn a_receiver_that_did_not_answer_in_time_takes_two_places_until_it_answers() {
    let mut lanes = Lanes::default();
    lanes.ring(WorkspaceId(1));
    take(&mut lanes, 1);
    (0..16).for_each(|_| lanes.ended(WorkspaceId(1), 1, Ending::TimedOut));
    assert_eq!(take(&mut lanes, 1), [(1, 2)]);
    lanes.ended(WorkspaceId(1), 1, Ending::Failed);
    assert_eq!(take(&mut lanes, 1), [(1, 15)], "it answered, if only with an error");
}

#[test]
fn whoever_got_no_place_is_first_the_next_time() {
    let mut lanes = Lanes::default();
    (1..=300).for_each(|workspace| lanes.ring(WorkspaceId(workspace)));
    let first = take(&mut lanes, 1);
    assert_eq!(first.len(), 256, "one place each");
    (1..=10).for_each(|workspace| lanes.ended(WorkspaceId(workspace), 1, Ending::Delivered));
    let second: Vec<u64> = take(&mut lanes, 1).iter().map(|(workspace, _)| *workspace).collect();
    assert_eq!(second, (257..=266).collect::<Vec<_>>());
}

#[test]
fn what_waits_is_due_at_its_time_and_a_workspace_without_a_webhook_is_forgotten() {
    let mut lanes = Lanes::default();
    lanes.ring(WorkspaceId(1));
    assert_eq!(lanes.wanted(1, |_| None), []);
    assert!(lanes.lanes.is_empty());
    lanes.began(&lane(2, 1, 1, None));
    lanes.ended(WorkspaceId(2), 1, Ending::Failed);
    lanes.waits(WorkspaceId(2), 5_000);
    lanes.waits(WorkspaceId(2), 9_000);
    assert_eq!(lanes.next_due_ms(1), Some(5_000));
    assert_eq!(lanes.wanted(4_999, |_| Some(1)), []);
    assert_eq!(lanes.wanted(5_000, |_| Some(1)).len(), 1);
}
