//! The planner against an oracle that knows nothing of intervals: it tries every way.

use super::*;
use crate::identity::{ClassId, ImageDigest, VendorId};
use crate::units::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Number and the lowest that it may follow.
type Graph = BTreeMap<u64, u64>;

fn image(number: u64, predecessor_min: u64) -> ImageRecord {
    ImageRecord {
        digest: ImageDigest([number as u8; 32]),
        size: Bytes(1),
        vendor: VendorId([1; 16]),
        class: ClassId([2; 16]),
        sequence_number: number,
        predecessor_min,
        version: String::new(),
        description: String::new(),
        envelope: Vec::new(),
        key_id: [0; 8],
        imported_unix_s: 0,
    }
}

fn planned(runs: u64, goal: u64, graph: &Graph) -> Result<Vec<u64>, MissingStone> {
    let images: Vec<ImageRecord> = graph
        .iter()
        .map(|(number, least)| image(*number, *least))
        .collect();
    let stones: Vec<&ImageRecord> = images.iter().collect();
    let goal = images.iter().find(|image| image.sequence_number == goal);
    let way = plan(runs, goal.expect("the goal is one of them"), &stones)?;
    Ok(way.iter().map(|image| image.sequence_number).collect())
}

/// The fewest steps from `runs` to `goal`, by breadth first over every legal step; `None`: there is no way.
fn fewest_steps(runs: u64, goal: u64, graph: &Graph) -> Option<usize> {
    let (mut seen, mut queue) = (BTreeSet::from([runs]), VecDeque::from([(runs, 0)]));
    while let Some((at, steps)) = queue.pop_front() {
        if at == goal {
            return Some(steps);
        }
        for (&to, &least) in graph {
            if at >= least && at < to && to <= goal && seen.insert(to) {
                queue.push_back((to, steps + 1));
            }
        }
    }
    None
}

const NUMBERS: u64 = 14;

/// Up to ten images of fourteen numbers, most of them of a kind that a publisher would sign, one of them the goal; and what the
/// device runs, below that.
fn case() -> impl Strategy<Value = (u64, u64, Graph)> {
    let pairs = (1..=NUMBERS, 0..NUMBERS + 2, prop::bool::weighted(0.9));
    let graph = prop::collection::vec(pairs, 1..10).prop_map(|pairs| -> Graph {
        let sound =
            |(number, least, sound): (u64, u64, bool)| (number, if sound { least % number } else { least });
        pairs.into_iter().map(sound).collect()
    });
    (graph, any::<prop::sample::Index>(), any::<prop::sample::Index>()).prop_map(|(graph, goal, runs)| {
        let goal = *graph.keys().nth(goal.index(graph.len())).expect("an index of it");
        (runs.index(goal as usize) as u64, goal, graph)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn every_step_is_legal_and_there_are_as_few_as_can_be((runs, goal, graph) in case()) {
        match planned(runs, goal, &graph) {
            Ok(way) => {
                prop_assert_eq!(Some(way.len()), fewest_steps(runs, goal, &graph));
                prop_assert_eq!(way.last(), Some(&goal));
                let mut at = runs;
                for step in way {
                    prop_assert!(graph[&step] <= at && at < step, "from {} to {}", at, step);
                    at = step;
                }
            }
            Err(_) => prop_assert_eq!(fewest_steps(runs, goal, &graph), None),
        }
    }

    /// What is said to be missing is all that helps, and everything that helps.
    #[test]
    fn an_image_opens_the_way_if_and_only_if_it_is_one_that_is_said_to_be_missing((runs, goal, graph) in case()) {
        if let Err(missing) = planned(runs, goal, &graph) {
            for number in (1..goal).filter(|number| !graph.contains_key(number)) {
                for least in 0..number {
                    let with: Graph = graph.iter().map(|(a, b)| (*a, *b)).chain([(number, least)]).collect();
                    let helps = (missing.lowest..=missing.highest).contains(&number) && least <= missing.follows;
                    prop_assert_eq!(fewest_steps(runs, goal, &with).is_some(), helps, "{} after {}", number, least);
                }
            }
        }
    }
}

#[test]
fn the_story_of_the_manual() {
    // 1.0, 1.1 and 1.5, which may follow 1.1 and what came after it.
    let graph = Graph::from([(1, 0), (4, 0), (7, 4)]);
    assert_eq!(planned(1, 7, &graph), Ok(vec![4, 7]));
    assert_eq!(planned(4, 7, &graph), Ok(vec![7]));
    assert_eq!(
        planned(5, 7, &graph),
        Ok(vec![7]),
        "an image that was never imported, and new enough"
    );
    let without = Graph::from([(1, 0), (7, 4)]);
    let missing = planned(1, 7, &without).expect_err("there is no stone");
    assert_eq!(
        missing.to_string(),
        "an image with a sequence number from 4 to 6 that may follow 1 is needed in between, and none is imported"
    );
}

#[test]
fn of_stones_that_are_as_good_the_highest_is_taken() {
    let graph = Graph::from([(4, 0), (5, 0), (6, 2), (9, 4)]);
    assert_eq!(planned(1, 9, &graph), Ok(vec![5, 9]), "6 may not follow 1");
    assert_eq!(planned(2, 9, &graph), Ok(vec![6, 9]));
}

#[test]
fn a_long_chain_is_walked_stone_by_stone() {
    let graph: Graph = (1..=200).map(|number| (number, number - 1)).collect();
    let way = planned(1, 200, &graph).expect("each follows the one before it");
    assert_eq!(way, (2..=200).collect::<Vec<u64>>());
}
