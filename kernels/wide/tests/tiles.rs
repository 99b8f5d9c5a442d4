//! Register tiles of a matrix product: exact, and free of moves and spills in their loops.
#![allow(unsafe_code, reason = "generated code is called")]

mod support;

use clif_wide::{Code, Context, Isa};
use support::jit::{Executable, Floats};
use support::kernels::Tile;
use support::listing;

/// The tiles that fit each instruction set, as rows and vectors.
fn tiles(isa: Isa) -> &'static [(usize, usize)] {
    match isa {
        Isa::Avx2 => &[(4, 3), (6, 2)],
        Isa::Avx512 => &[(8, 3), (12, 2), (24, 1)],
    }
}

fn all_tiles() -> Vec<(Isa, Tile)> {
    let mut all = Vec::new();
    for isa in Isa::ALL {
        for &(rows, vectors) in tiles(isa) {
            for lanes in support::lane_counts(isa) {
                for unroll in [1, 4] {
                    for epilogue in [false, true] {
                        let tile = Tile { lanes, rows, vectors, depth: 24, unroll, epilogue };
                        all.push((isa, tile));
                    }
                }
            }
        }
    }
    all
}

fn compile(isa: Isa, tile: &Tile) -> Code {
    clif_wide::compile(&tile.function(), isa, &mut Context::checked())
        .unwrap_or_else(|error| panic!("{isa} {tile:?}: {error}"))
}

#[test]
fn loops_of_register_tiles_have_no_spills_and_no_moves() {
    for (isa, tile) in all_tiles() {
        let code = compile(isa, &tile);
        let loops = listing::innermost_loops(&code);
        assert_eq!(loops.len(), 1, "{isa} {tile:?}");
        let body = &loops[0];
        let fmas = tile.rows * tile.vectors * tile.unroll;
        let text = listing::disassembly(&code);
        assert_eq!(listing::multiply_adds(body), fmas, "{isa} {tile:?}\n{text}");
        assert_eq!(
            body.iter().filter(|i| listing::touches_frame(i)).count(),
            0,
            "{isa} {tile:?}\n{text}"
        );
        assert_eq!(
            body.iter().filter(|i| listing::is_move(i)).count(),
            0,
            "{isa} {tile:?}\n{text}"
        );
        // Loads of the input, broadcasts of the weights unless folded, two increments, the branch.
        let folded = isa == Isa::Avx512 && tile.vectors == 1;
        let broadcasts = if folded { 0 } else { tile.rows };
        let rest = (tile.vectors + broadcasts) * tile.unroll + 4;
        assert_eq!(body.len(), fmas + rest, "{isa} {tile:?}\n{text}");
        assert_eq!(code.stats.spill_slots, 0, "{isa} {tile:?}\n{text}");
    }
}

#[test]
fn register_tiles_equal_scalar_multiply_adds() {
    for isa in support::usable_isas() {
        for (_, tile) in all_tiles().into_iter().filter(|(of, _)| *of == isa) {
            let code = compile(isa, &tile);
            let executable = Executable::new(&tile.function(), &code);
            let mut weights = Floats::noise(tile.depth * tile.rows, 1);
            let mut input = Floats::noise(tile.depth * tile.columns(), 2);
            let mut bias = Floats::noise(tile.rows, 3);
            let mut output = Floats::new(tile.rows * tile.columns(), |_| f32::NAN);
            let args = [weights.address(), input.address(), output.address(), bias.address()];
            // SAFETY: the buffers have the sizes that the tile walks over, and the host has the ISA.
            unsafe { executable.call(args) };
            let want = tile.reference(&weights.to_vec(), &input.to_vec(), &bias.to_vec());
            assert_eq!(output.to_vec(), want, "{isa} {tile:?}\n{}", listing::disassembly(&code));
        }
    }
}
