//! What called functions stand for, found once: a kernel calls a few of them many times.

use crate::intrinsics::Intrinsic;
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{ExtFuncData, ExternalName, FuncRef, Function, Type, types};

/// An intrinsic that a function refers to.
#[derive(Clone, Copy)]
pub(super) struct Callee {
    pub(super) intrinsic: Intrinsic,
    /// The vectors that it is for; none where its signature is not that of the intrinsic.
    pub(super) vector: Option<Type>,
}

/// Of each function reference, the intrinsic.
pub(super) struct Callees(SecondaryMap<FuncRef, Option<Callee>>);

impl Callees {
    /// Looks at all function references.
    pub(super) fn of(func: &Function) -> Self {
        let mut callees = SecondaryMap::new();
        for (func_ref, data) in &func.dfg.ext_funcs {
            callees[func_ref] = callee(func, data);
        }
        Self(callees)
    }

    /// None where the reference is to a function that is no intrinsic.
    pub(super) fn get(&self, func_ref: FuncRef) -> Option<Callee> {
        self.0[func_ref]
    }
}

fn callee(func: &Function, data: &ExtFuncData) -> Option<Callee> {
    let ExternalName::User(name) = data.name else { return None };
    let intrinsic = Intrinsic::from_name(&func.params.user_named_funcs()[name])?;
    let signature = &func.dfg.signatures[data.signature];
    let vector = match intrinsic {
        Intrinsic::Prefetch => Some(types::F32X4),
        _ => signature.returns.first().or(signature.params.first()).map(|it| it.value_type),
    };
    let vector = vector.filter(|&vector| intrinsic.signature(vector).as_ref() == Ok(signature));
    Some(Callee { intrinsic, vector })
}
