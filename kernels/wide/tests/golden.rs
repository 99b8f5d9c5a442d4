//! Machine code of a few kernels as it was reviewed.
//!
//! After a wanted change, `CLIF_WIDE_BLESS=1 cargo test -p clif-wide --test golden` writes the new
//! files. Nothing is run, so the files are the same on every machine.
#![allow(unsafe_code, reason = "the shared support calls generated code")]

mod support;

use clif_wide::intrinsics::Intrinsic;
use clif_wide::{Context, Isa};
use cranelift_codegen::ir::{Function, InstBuilder, MemFlagsData};
use std::path::PathBuf;
use support::kernels::{Tile, relu6, vector_type};
use support::listing;

/// `fn(input, output, n)`: the even elements of two vectors, relu6, the first n of them stored.
fn even_and_tail(lanes: u32) -> Function {
    support::function(3, false, |b, params| {
        let ty = vector_type(lanes);
        let flags = MemFlagsData::new().with_notrap();
        let low = b.ins().load(ty, flags, params[0], 0);
        let high = b.ins().load(ty, flags, params[0], ty.bytes() as i32);
        let even = Intrinsic::Even.import(b.func, ty).expect("it exists");
        let call = b.ins().call(even, &[low, high]);
        let even = b.inst_results(call)[0];
        let active = relu6(b, even);
        let store = Intrinsic::StoreFirst.import(b.func, ty).expect("it exists");
        b.ins().call(store, &[active, params[1], params[2]]);
        b.ins().return_(&[]);
    })
}

fn kernels() -> Vec<(String, Isa, Function)> {
    let mut kernels = Vec::new();
    let tiles = [(Isa::Avx2, 8, 6, 2), (Isa::Avx512, 16, 8, 3), (Isa::Avx512, 16, 24, 1)];
    for (isa, lanes, rows, vectors) in tiles {
        let tile = Tile { lanes, rows, vectors, depth: 256, unroll: 1, epilogue: true };
        kernels.push((format!("tile_{rows}x{vectors}_{isa}"), isa, tile.function()));
    }
    for isa in Isa::ALL {
        kernels.push((format!("even_{isa}"), isa, even_and_tail(isa.max_lanes())));
    }
    kernels
}

#[test]
fn machine_code_is_as_it_was_reviewed() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let bless = std::env::var_os("CLIF_WIDE_BLESS").is_some();
    let mut changed = Vec::new();
    for (name, isa, func) in kernels() {
        let code = clif_wide::compile(&func, isa, &mut Context::checked()).expect("it compiles");
        let actual = listing::disassembly(&code);
        let path = folder.join(format!("{name}.asm"));
        if bless {
            std::fs::create_dir_all(&folder).expect("a folder for golden files");
            std::fs::write(&path, &actual).expect("golden files can be written");
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&actual) {
            changed.push(name);
        }
    }
    assert!(changed.is_empty(), "{changed:?} changed: CLIF_WIDE_BLESS=1 writes the new files");
}
