//! Measures pairs of images: `pairs [--effort fast|default|best] PAIRS.tsv RIVALS.tsv IMAGES CLASS,CLASS… [FILTER…]`.
//!
//! `PAIRS.tsv` and `IMAGES` are as `scripts/corpus` makes them, a class is the exponent of the decoder's memory, and `RIVALS.tsv`
//! holds what other tools made of each pair: a row of pair, tool and bytes for each, `bsdiff4` among them. A pair is taken if
//! every filter, words with `|` between them, has a word in its name, class or instruction set. Every patch is applied and
//! compared. Then come the geometric means relative to BSDIFF40, by group and by product, and the pairs that are larger than the
//! smallest of the rivals.

#![expect(clippy::unwrap_used, reason = "a measuring tool")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use gateway_delta::{Effort, Options, encode};
use wire_patch::MemoryClass;

/// Bytes of a pair by BSDIFF40 and by the smallest of all tools.
#[derive(Clone, Copy)]
struct Rivals {
    bsdiff: f64,
    smallest: f64,
}

/// A row of the table of pairs.
struct Pair<'a> {
    id: &'a str,
    product: &'a str,
    from: &'a str,
    to: &'a str,
    class: &'a str,
    isa: &'a str,
}

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let effort = effort(&mut args);
    let [pairs, rivals, images, classes, filters @ ..] = &args[..] else {
        panic!("usage: pairs [--effort EFFORT] PAIRS.tsv RIVALS.tsv IMAGES CLASS,CLASS… [FILTER…]");
    };
    let rivals = std::fs::read_to_string(rivals).unwrap();
    let rivals = rivals_of(&rivals);
    let classes: Vec<MemoryClass> = classes
        .split(',')
        .map(|class| MemoryClass::from_exponent(class.parse().unwrap()).unwrap())
        .collect();
    let pairs = std::fs::read_to_string(pairs).unwrap();
    let mut sums = Sums::default();
    for pair in pairs.lines().skip(1).map(Pair::of) {
        if pair.is_wanted(filters) {
            let read = |version| std::fs::read(format!("{images}/{}/{version}.bin", pair.product)).unwrap();
            let (base, target) = (read(pair.from), read(pair.to));
            let rivals = rivals[pair.id];
            let (bsdiff, best) = (rivals.bsdiff, rivals.smallest / rivals.bsdiff);
            print!("{:45} {:7} bs {bsdiff:7} best {best:.3}", pair.id, pair.class);
            let options = classes.iter().map(|memory| Options {
                effort,
                ..Options::new(*memory)
            });
            let sizes: Vec<f64> = options
                .map(|options| measure(&base, &target, &options, bsdiff))
                .collect();
            println!();
            sums.add(&pair, rivals, &sizes);
        }
    }
    sums.print(&classes);
}

/// Takes the option out of the arguments.
fn effort(args: &mut Vec<String>) -> Effort {
    let Some(at) = args.iter().position(|arg| arg == "--effort") else {
        return Effort::Default;
    };
    let effort = match args[at + 1].as_str() {
        "fast" => Effort::Fast,
        "default" => Effort::Default,
        "best" => Effort::Best,
        other => panic!("no effort: {other}"),
    };
    args.drain(at..at + 2);
    effort
}

fn rivals_of(table: &str) -> HashMap<&str, Rivals> {
    let mut rivals: HashMap<&str, Rivals> = HashMap::new();
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        let Ok(bytes) = cells[2].parse::<f64>() else {
            continue;
        };
        let none = Rivals {
            bsdiff: f64::NAN,
            smallest: f64::MAX,
        };
        let of_pair = rivals.entry(cells[0]).or_insert(none);
        of_pair.smallest = of_pair.smallest.min(bytes);
        if cells[1] == "bsdiff4" {
            of_pair.bsdiff = bytes;
        }
    }
    rivals
}

impl<'a> Pair<'a> {
    fn of(line: &'a str) -> Self {
        let cells: Vec<&str> = line.split('\t').collect();
        Self {
            id: cells[0],
            product: cells[1],
            from: cells[2],
            to: cells[3],
            class: cells[4],
            isa: cells[5],
        }
    }

    fn is_wanted(&self, filters: &[String]) -> bool {
        let text = format!("{} {} {}", self.id, self.class, self.isa);
        filters
            .iter()
            .all(|filter| filter.split('|').any(|word| text.contains(word)))
    }

    /// What it is summed up with.
    fn groups(&self) -> Vec<String> {
        let mut groups = vec!["all".to_owned(), format!("product {}", self.product)];
        if self.class != "vbump" {
            let cortex_m = self.isa.contains("Cortex-M");
            groups.push(if cortex_m { "cortex-m" } else { "other sets" }.to_owned());
            if cortex_m {
                groups.push(format!("cortex-m {}", self.class));
            }
        }
        groups
    }
}

/// The bytes of a patch, which is shown to be right.
fn measure(base: &[u8], target: &[u8], options: &Options, bsdiff: f64) -> f64 {
    let start = Instant::now();
    let patch = encode(base, target, options).unwrap();
    let encoded = start.elapsed().as_millis();
    assert!(support::apply(base, &patch).unwrap() == target);
    let decoded = start.elapsed().as_millis() - encoded;
    let bytes = patch.len() as f64;
    print!(" | {bytes:6} {:.3} {encoded}+{decoded}ms", bytes / bsdiff);
    bytes
}

/// Of pairs: sizes relative to BSDIFF40, one for each class.
#[derive(Default)]
struct Sums {
    groups: BTreeMap<String, Vec<Vec<f64>>>,
    /// Larger than the smallest of the rivals, with their sizes relative to it.
    larger: Vec<(String, Vec<f64>)>,
}

impl Sums {
    fn add(&mut self, pair: &Pair<'_>, rivals: Rivals, sizes: &[f64]) {
        let relative_to = |bytes: f64| sizes.iter().map(|size| size / bytes).collect::<Vec<f64>>();
        for group in pair.groups() {
            self.groups
                .entry(group)
                .or_default()
                .push(relative_to(rivals.bsdiff));
        }
        if sizes.iter().any(|size| *size > rivals.smallest) {
            self.larger
                .push((pair.id.to_owned(), relative_to(rivals.smallest)));
        }
    }

    fn print(&self, classes: &[MemoryClass]) {
        print!("\n{:31} {:>3}", "geometric means of", "");
        classes.iter().for_each(|class| print!("  {:6}", class.bytes()));
        println!();
        for (group, ratios) in &self.groups {
            print!("{group:31} {:3}", ratios.len());
            for at in 0..classes.len() {
                let sum: f64 = ratios.iter().map(|of_pair| of_pair[at].ln()).sum();
                print!("  {:.4}", (sum / ratios.len() as f64).exp());
            }
            println!();
        }
        println!(
            "\nlarger than the smallest of the rivals in some class: {}",
            self.larger.len()
        );
        for (pair, ratios) in &self.larger {
            let ratios: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.4}")).collect();
            println!("{pair:45} {}", ratios.join("  "));
        }
    }
}
