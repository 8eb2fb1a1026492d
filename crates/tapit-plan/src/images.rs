//! Which images go: all that nothing uses when somebody asks for that, or just so many that the rest fits on the disk.
//!
//! Called by whoever keeps images. It removes nothing and knows no file: layers are whatever names them, with their size.

use std::collections::BTreeMap;

use tapit_model::{Digest, ImageOrigin, PruneExtent};

/// An image as far as its keeping goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<L> {
    pub digest: Digest,
    pub origin: ImageOrigin,
    /// A name stands for it.
    pub named: bool,
    pub in_use: bool,
    /// When it was last used: the order of uses, not a time, so that no clock can turn it.
    pub turn: u64,
    /// Its layers with their unpacked bytes.
    pub layers: Vec<(L, u64)>,
}

/// What goes, and what that comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// In the order in which they go.
    pub gone: Vec<Digest>,
    pub freed: u64,
    /// Bytes that are taken above the budget all the same.
    pub over: u64,
}

/// Chooses among images. `beside` are the bytes of layers that belong to none of them: of images on their way.
pub fn choose<L: Ord + Clone>(held: &[Held<L>], extent: PruneExtent, beside: u64) -> Choice {
    let mut stack = Stack::of(held);
    let before = stack.bytes;
    let gone = match extent {
        PruneExtent::Unused => held.iter().filter(|image| !image.in_use).inspect(|image| stack.remove(image)).collect(),
        PruneExtent::Budget(budget) => until_it_fits(held, &mut stack, budget.saturating_sub(beside)),
    };
    let over = match extent {
        PruneExtent::Unused => 0,
        PruneExtent::Budget(budget) => (stack.bytes + beside).saturating_sub(budget),
    };
    let gone = gone.into_iter().map(|image: &Held<L>| image.digest.clone()).collect();
    Choice { gone, freed: before - stack.bytes, over }
}

fn until_it_fits<'a, L: Ord + Clone>(held: &'a [Held<L>], stack: &mut Stack<L>, budget: u64) -> Vec<&'a Held<L>> {
    let mut willing: Vec<(Rank, &Held<L>)> = held.iter().filter_map(|image| Some((rank(image)?, image))).collect();
    willing.sort_by(|(rank, image), (other_rank, other)| {
        (rank, image.turn, &image.digest).cmp(&(other_rank, other.turn, &other.digest))
    });
    let mut gone = Vec::new();
    for (_, image) in willing {
        if stack.bytes <= budget {
            break;
        }
        stack.remove(image);
        gone.push(image);
    }
    // One whose every layer stays for the sake of others would be lost for nothing.
    gone.retain(|image| {
        let frees = image.layers.iter().any(|(layer, _)| !stack.layers.contains_key(layer));
        if !frees {
            stack.add(image);
        }
        frees
    });
    gone
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A registry has it, or nothing can be started from it any more.
    First,
    /// It can be made again, with work.
    Built,
}

/// `None`: it never goes by itself.
fn rank<L>(image: &Held<L>) -> Option<Rank> {
    match (image.in_use, image.named, image.origin) {
        (true, ..) => None,
        (false, false, _) | (false, true, ImageOrigin::Pull) => Some(Rank::First),
        (false, true, ImageOrigin::Build) => Some(Rank::Built),
        (false, true, ImageOrigin::Import) => None,
    }
}

/// Layers with how many images have them.
struct Stack<L> {
    layers: BTreeMap<L, (u64, u32)>,
    bytes: u64,
}

impl<L: Ord + Clone> Stack<L> {
    fn of(held: &[Held<L>]) -> Self {
        let mut stack = Self { layers: BTreeMap::new(), bytes: 0 };
        held.iter().for_each(|image| stack.add(image));
        stack
    }

    fn add(&mut self, image: &Held<L>) {
        for (layer, bytes) in &image.layers {
            let (_, count) = self.layers.entry(layer.clone()).or_insert_with(|| {
                self.bytes += bytes;
                (*bytes, 0)
            });
            *count += 1;
        }
    }

    fn remove(&mut self, image: &Held<L>) {
        for (layer, _) in &image.layers {
            if let Some((bytes, count)) = self.layers.get_mut(layer) {
                *count -= 1;
                if *count == 0 {
                    self.bytes -= *bytes;
                    self.layers.remove(layer);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
