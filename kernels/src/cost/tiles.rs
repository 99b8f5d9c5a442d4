//! Register tiles of the pointwise stage, by how much of the machine they waste.

use crate::target::Target;

/// Vectors of a register tile.
const MOST_VECTORS: usize = 6;
/// Accumulators that hide the latency of multiply-adds: two a cycle, four cycles each.
const LEAST_ACCUMULATORS: usize = 8;

/// Broadcasts and vectors of `lanes` whose accumulators fit the registers, those that waste least
/// first: multiply-add ports that wait for a result or a load, and parts of the tile beyond the
/// extents.
///
/// `vector_side` and `broadcast_side` are the extents of the stage in elements. There is at least
/// one tile.
pub fn register_tiles(
    target: &Target,
    lanes: u8,
    vector_side: usize,
    broadcast_side: usize,
) -> Vec<(u8, u8)> {
    let registers = usize::from(target.vector_registers);
    let used = |tile: usize, extent: usize| extent as f64 / extent.next_multiple_of(tile) as f64;
    let mut tiles = Vec::new();
    for vectors in 1..=MOST_VECTORS {
        for broadcasts in 1..registers {
            let accumulators = broadcasts * vectors;
            let fits = accumulators + broadcasts.min(vectors) < registers;
            let is_empty =
                broadcasts > broadcast_side || (vectors - 1) * usize::from(lanes) >= vector_side;
            if !fits || is_empty {
                continue;
            }
            let busy = (accumulators as f64 / LEAST_ACCUMULATORS as f64).min(1.0);
            // One load a broadcast and a vector; two of them a cycle keep up with two multiply-adds.
            let fed = (accumulators as f64 / (broadcasts + vectors) as f64).min(1.0);
            let filled =
                used(broadcasts, broadcast_side) * used(vectors * usize::from(lanes), vector_side);
            let tile = (broadcasts as u8, vectors as u8);
            tiles.push((busy * fed * filled, accumulators, tile));
        }
    }
    if tiles.iter().any(|&(_, accumulators, _)| accumulators >= LEAST_ACCUMULATORS) {
        tiles.retain(|&(_, accumulators, _)| accumulators >= LEAST_ACCUMULATORS);
    }
    tiles.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
    tiles.into_iter().map(|(_, _, tile)| tile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Isa;

    #[test]
    fn the_first_tiles_are_those_that_reach_the_peak() {
        let tiles = |isa| register_tiles(&Target::of(isa), Target::of(isa).lanes, 480, 480);
        // Both divide 480, and have the most accumulators that fit.
        assert_eq!(tiles(Isa::Avx512)[0], (5, 5));
        assert!(tiles(Isa::Avx2)[..4].contains(&(6, 2)), "{:?}", tiles(Isa::Avx2));
    }

    #[test]
    fn small_extents_have_tiles_too() {
        for (vector_side, broadcast_side) in [(1, 1), (3, 1), (1, 7), (100, 1)] {
            let tiles = register_tiles(&Target::of(Isa::Avx512), 16, vector_side, broadcast_side);
            assert!(!tiles.is_empty());
            for (broadcasts, vectors) in tiles {
                assert!(usize::from(broadcasts) <= broadcast_side);
                assert!(usize::from(vectors - 1) * 16 < vector_side);
            }
        }
    }
}
