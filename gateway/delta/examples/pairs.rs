//! Measures pairs of images: `pairs PAIRS.tsv RIVALS.tsv IMAGES CLASS,CLASS… [FILTER…]`. Every patch is applied and compared.

#![expect(clippy::unwrap_used, reason = "a measuring tool")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use wire_patch::MemoryClass;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, pairs, rivals, images, classes, filters @ ..] = &args[..] else {
        panic!("usage");
    };
    let mut bsdiff: HashMap<String, (f64, f64)> = HashMap::new();
    for line in std::fs::read_to_string(rivals).unwrap().lines().skip(1) {
        let f: Vec<&str> = line.split('\t').collect();
        let Ok(size) = f[2].parse::<f64>() else { continue };
        let entry = bsdiff.entry(f[0].to_owned()).or_insert((0.0, f64::MAX));
        entry.1 = entry.1.min(size);
        if f[1] == "bsdiff4" {
            entry.0 = size;
        }
    }
    let classes: Vec<u8> = classes.split(',').map(|c| c.parse().unwrap()).collect();
    let mut means: BTreeMap<String, Vec<Vec<f64>>> = BTreeMap::new();
    for line in std::fs::read_to_string(pairs).unwrap().lines().skip(1) {
        let f: Vec<&str> = line.split('\t').collect();
        let text = format!("{} {} {}", f[0], f[4], f[5]);
        if !filters
            .iter()
            .all(|filter| filter.split('|').any(|filter| text.contains(filter)))
        {
            continue;
        }
        let read = |v: &str| std::fs::read(format!("{images}/{}/{v}.bin", f[1])).unwrap();
        let (base, target) = (read(f[2]), read(f[3]));
        let (bs, best) = bsdiff[f[0]];
        print!("{:45} {:6} bs {bs:7} best {:.3}", f[0], f[4], best / bs);
        let mut ratios = Vec::new();
        for class in &classes {
            let memory = MemoryClass::from_exponent(*class).unwrap();
            let start = Instant::now();
            let patch = gateway_delta::encode(&base, &target, &gateway_delta::Options::new(memory)).unwrap();
            let encoded = start.elapsed().as_millis();
            assert!(support::apply(&base, &patch).unwrap() == target);
            let decoded = start.elapsed().as_millis() - encoded;
            print!(
                " | {:6} {:.3} {encoded}+{decoded}ms",
                patch.len(),
                patch.len() as f64 / bs
            );
            ratios.push(patch.len() as f64 / bs);
        }
        println!();
        let arm = f[5].contains("Cortex-M") && f[4] != "vbump";
        let mut groups = vec!["all".to_owned()];
        if arm {
            groups.push("cortex-m".to_owned());
            groups.push(format!("cortex-m {}", f[4]));
        }
        for group in groups {
            means.entry(group).or_default().push(ratios.clone());
        }
    }
    for (group, ratios) in means {
        print!("{group:20} {:3}", ratios.len());
        for at in 0..classes.len() {
            let sum: f64 = ratios.iter().map(|r| r[at].ln()).sum();
            print!("  {:.4}", (sum / ratios.len() as f64).exp());
        }
        println!();
    }
}
