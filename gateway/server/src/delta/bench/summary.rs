//! Geometric means, and ours against the best of the others.

use super::measure::{Bench, Measured};
use super::pairs::Family;

/// Pairs that are summed up together.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Head of its column.
    pub(super) name: String,
    /// Their places in [`Bench::results`].
    members: Vec<usize>,
}

impl Group {
    /// How many pairs there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }
}

/// Groups that stand side by side.
pub(super) struct Section {
    /// Whose releases they are.
    pub(super) name: &'static str,
    /// The columns; none is empty.
    pub(super) groups: Vec<Group>,
}

/// All releases, by class and set; those for Cortex-M, by class; those for other instruction sets. Pairs in which only a
/// version string differs are in a group of their own.
pub(super) fn sections(bench: &Bench) -> Vec<Section> {
    let releases = |measured: &Measured| !measured.pair.is_version_bump();
    let of = |measured: &Measured, family| releases(measured) && measured.pair.family() == family;
    let mut all = vec![group(bench, "all", releases)];
    let mut cortex = vec![group(bench, "all", |measured| of(measured, Family::CortexM))];
    for class in CLASSES {
        let is_class = |measured: &Measured| measured.pair.class == class;
        all.push(group(bench, class, is_class));
        cortex.push(group(bench, class, |measured| {
            is_class(measured) && of(measured, Family::CortexM)
        }));
    }
    for set in ["tuned", "held-out"] {
        let name = format!("all {set}");
        all.push(group(bench, &name, |measured| {
            releases(measured) && measured.pair.set == set
        }));
    }
    all.push(group(bench, "version string", |measured| {
        measured.pair.is_version_bump()
    }));
    let others = Family::ALL
        .into_iter()
        .filter(|family| *family != Family::CortexM);
    let others = others.map(|family| group(bench, family.name(), |measured| of(measured, family)));
    let mut sections = vec![
        Section {
            name: "All instruction sets",
            groups: all,
        },
        Section {
            name: "Cortex-M",
            groups: cortex,
        },
        Section {
            name: "Other instruction sets",
            groups: others.collect(),
        },
    ];
    for section in &mut sections {
        section.groups.retain(|group| group.len() > 0);
    }
    sections.retain(|section| !section.groups.is_empty());
    sections
}

/// Every pair that counts as a release.
pub(super) fn releases(bench: &Bench) -> Group {
    group(bench, "all", |measured| !measured.pair.is_version_bump())
}

const CLASSES: [&str; 4] = ["patch", "minor", "major", "rebuild"];

fn group(bench: &Bench, name: &str, holds: impl Fn(&Measured) -> bool) -> Group {
    let members = (bench.results.iter().enumerate())
        .filter(|(_, measured)| holds(measured))
        .map(|(at, _)| at);
    Group {
        name: name.to_owned(),
        members: members.collect(),
    }
}

/// Geometric mean of a tool's sizes relative to the reference; `None` where it made not one patch. Pairs it failed on are left
/// out; the second number says how many are in.
pub(super) fn mean(bench: &Bench, group: &Group, tool: usize) -> Option<(f64, usize)> {
    let ratios = group
        .members
        .iter()
        .filter_map(|at| bench.results[*at].ratio(tool));
    geometric(ratios)
}

fn geometric(ratios: impl Iterator<Item = f64>) -> Option<(f64, usize)> {
    let (sum, count) = ratios.fold((0.0, 0), |(sum, count), ratio| (sum + ratio.ln(), count + 1));
    (count > 0).then(|| ((sum / count as f64).exp(), count))
}

/// What encoding took over all pairs, which nobody knows of a library.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// CPU seconds for each megabyte (10⁶) of new images.
    pub(super) cpu_s_per_mb: f64,
    /// Largest resident set of any pair.
    pub(super) peak_kib: u64,
}

pub(super) fn effort(bench: &Bench, tool: usize) -> Option<Effort> {
    let mut cpu_s = 0.0;
    let (mut bytes, mut peak_kib) = (0, 0);
    for measured in &bench.results {
        let Some(usage) = measured.outcomes[tool]
            .as_ref()
            .ok()
            .and_then(|patch| patch.encode)
        else {
            continue;
        };
        cpu_s += usage.cpu.as_secs_f64();
        peak_kib = peak_kib.max(usage.peak_kib);
        bytes += measured.new_bytes;
    }
    (bytes > 0).then(|| Effort {
        cpu_s_per_mb: cpu_s / (bytes as f64 / 1e6),
        peak_kib,
    })
}

/// The smallest patch of the others for a pair: tool and bytes.
pub(super) fn best_rival(bench: &Bench, measured: &Measured) -> Option<(usize, u64)> {
    (bench.tools.iter().enumerate())
        .filter(|(_, tool)| !tool.is_ours())
        .filter_map(|(at, _)| Some((at, measured.outcomes[at].as_ref().ok()?.bytes)))
        .min_by_key(|(_, bytes)| *bytes)
}

/// One setting of ours against the best of the others, pair by pair.
#[derive(Clone, Debug)]
pub(super) struct Duel {
    /// Geometric mean of our bytes relative to the best's.
    pub(super) mean: f64,
    /// Pairs on which ours is larger, with the tool that is smaller and how much larger ours is; the worst first.
    pub(super) lost: Vec<Loss>,
    /// Pairs compared.
    pub(super) pairs: usize,
}

/// A pair on which another tool is smaller.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    pub(super) pair: String,
    pub(super) rival: usize,
    pub(super) ours: u64,
    pub(super) theirs: u64,
}

impl Loss {
    /// Ours relative to theirs.
    pub(super) fn ratio(&self) -> f64 {
        self.ours as f64 / self.theirs as f64
    }
}

pub(super) fn duel(bench: &Bench, ours: usize) -> Option<Duel> {
    let fights: Vec<Loss> = (bench.results.iter())
        .filter_map(|measured| {
            let (rival, theirs) = best_rival(bench, measured)?;
            Some(Loss {
                pair: measured.pair.id.clone(),
                rival,
                ours: measured.outcomes[ours].as_ref().ok()?.bytes,
                theirs,
            })
        })
        .collect();
    let (mean, pairs) = geometric(fights.iter().map(Loss::ratio))?;
    let mut lost: Vec<Loss> = fights
        .into_iter()
        .filter(|fight| fight.ours > fight.theirs)
        .collect();
    lost.sort_by(|a, b| b.ratio().total_cmp(&a.ratio()));
    Some(Duel { mean, lost, pairs })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_geometric_mean_of_half_and_double_is_one() {
        let (mean, count) = geometric([0.5, 2.0].into_iter()).unwrap();
        assert!((mean - 1.0).abs() < 1e-12);
        assert_eq!(count, 2);
        assert!(geometric(std::iter::empty()).is_none());
    }
}
