//! Moves that happen all at once, as where a branch passes values on: one after the other.

use regalloc2::Allocation;

/// Puts moves in an order in which none overwrites what another has yet to read. Where they go round
/// in circles, one is broken through a place `aside`; false if there is none. `pending` is empty then,
/// and always.
pub(super) fn at_once(
    pending: &mut Vec<(Allocation, Allocation)>,
    mut aside: impl FnMut() -> Option<Allocation>,
    mut put: impl FnMut(Allocation, Allocation),
) -> bool {
    while !pending.is_empty() {
        let is_read = |to: Allocation| pending.iter().any(|(from, _)| *from == to);
        match pending.iter().position(|(_, to)| !is_read(*to)) {
            Some(next) => {
                let (from, to) = pending.swap_remove(next);
                put(from, to);
            }
            None => {
                let Some(aside) = aside() else {
                    pending.clear();
                    return false;
                };
                let (first, _) = pending[0];
                put(first, aside);
                for (from, _) in pending.iter_mut().filter(|(from, _)| *from == first) {
                    *from = aside;
                }
            }
        }
    }
    true
}
