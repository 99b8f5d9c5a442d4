//! What the tests and benches share: running code, buffers, small kernels, looking at loops.

#![allow(dead_code, reason = "each test and bench uses a part")]

pub(crate) mod differential;
pub(crate) mod directed;
pub(crate) mod interpreter;
pub(crate) mod jit;
pub(crate) mod kernels;
pub(crate) mod listing;
pub(crate) mod random;

use cranelift_codegen::ir::{AbiParam, Function, Signature, UserFuncName, Value, types};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

/// A function of some i64 parameters, whose body is built by a closure.
pub(crate) fn function(
    params: usize,
    returns: bool,
    body: impl FnOnce(&mut FunctionBuilder<'_>, &[Value]),
) -> Function {
    let mut signature = Signature::new(CallConv::SystemV);
    signature.params.extend((0..params).map(|_| AbiParam::new(types::I64)));
    signature.returns.extend(returns.then(|| AbiParam::new(types::I64)));
    let mut func = Function::with_name_signature(UserFuncName::user(0, 0), signature);
    let mut context = FunctionBuilderContext::new();
    let mut builder = FunctionBuilder::new(&mut func, &mut context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let params = builder.block_params(entry).to_vec();
    body(&mut builder, &params);
    builder.seal_all_blocks();
    builder.finalize(TargetFrontendConfig {
        default_call_conv: CallConv::SystemV,
        pointer_width: target_lexicon::PointerWidth::U64,
        page_size_align_log2: 12,
    });
    func
}

/// The instruction sets that this computer can execute; the tests say which they are.
pub(crate) fn usable_isas() -> Vec<clif_wide::Isa> {
    let usable: Vec<_> = clif_wide::Isa::ALL.into_iter().filter(|isa| isa.is_usable()).collect();
    eprintln!("usable: {usable:?}");
    usable
}

/// The vector lanes of an instruction set.
pub(crate) fn lane_counts(isa: clif_wide::Isa) -> impl Iterator<Item = u32> {
    [4, 8, 16].into_iter().filter(move |lanes| *lanes <= isa.max_lanes())
}
