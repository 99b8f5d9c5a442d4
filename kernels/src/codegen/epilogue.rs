//! What stands before and after a sum: the bias that starts it, residual and activation that end it.

use cranelift_codegen::ir::Value;

use super::emitter::{Emitter, Pointer};
use crate::activation::{Activation, Arithmetic};
use crate::cover::Slot;

/// What the lanes of an accumulator are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lanes {
    /// Pixels of one channel: its bias and slope are the same in every lane.
    Pixels,
    /// Channels: biases and slopes are vectors.
    Channels,
}

impl Lanes {
    /// A parameter of the channels in the lanes.
    fn parameter(self, emitter: &mut Emitter<'_>, lanes: usize, from: Pointer) -> Value {
        match self {
            Self::Pixels => emitter.broadcast(lanes, from),
            Self::Channels => emitter.load(lanes, from),
        }
    }

    /// The value an accumulator starts from: the bias, or zero.
    pub(super) fn start(
        self,
        emitter: &mut Emitter<'_>,
        lanes: usize,
        bias: Option<Pointer>,
    ) -> Value {
        match bias {
            Some(bias) => self.parameter(emitter, lanes, bias),
            None => emitter.constant(lanes, 0.0),
        }
    }

    /// The output of a finished sum; the residual has no surplus lanes.
    pub(super) fn finish(
        self,
        emitter: &mut Emitter<'_>,
        slot: &Slot,
        sum: Value,
        residual: Option<Pointer>,
        activation: Activation,
        slope: Option<Pointer>,
    ) -> Value {
        let residual = residual.map(|residual| emitter.load_slot(slot, residual));
        let slope = slope.map(|slope| self.parameter(emitter, slot.lanes, slope));
        finish(emitter, slot.lanes, sum, residual, activation, slope)
    }
}

/// The output of a finished sum, where residual and slope are vectors already.
pub(super) fn finish(
    emitter: &mut Emitter<'_>,
    lanes: usize,
    sum: Value,
    residual: Option<Value>,
    activation: Activation,
    slope: Option<Value>,
) -> Value {
    let sum = match residual {
        Some(residual) => emitter.arithmetic(lanes).add(sum, residual),
        None => sum,
    };
    activation.apply(&mut emitter.arithmetic(lanes), sum, slope)
}
