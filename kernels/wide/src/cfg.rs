//! Control flow: which blocks there are, in which order, and which edges get a block of their own.
//!
//! Blocks keep the order of the function's layout, so the generator of the CLIF decides what falls
//! through. The register allocator puts moves on edges, which needs a place that belongs to the edge
//! alone: an edge from a block with two successors to a block with several predecessors (a
//! *critical* edge) is split by a new block right behind its source.
//!
//! ```text
//! b0: brif v, b1, b2          b0: brif v, edge, b2
//! b1: ...  (also from b3)     edge: jump b1
//! ```

use crate::error::{Error, Result};
use cranelift_codegen::entity::{EntitySet, SecondaryMap};
use cranelift_codegen::ir::{self, Function, InstructionData};

/// A block of the machine code before its instructions are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// A reachable block of the function.
    Body(ir::Block),
    /// The critical edge that leaves a block by its `successor`-th way.
    Edge { from: ir::Block, successor: usize },
}

/// The blocks of a function in the order of emission.
#[derive(Debug)]
pub(crate) struct Order {
    /// Blocks to emit.
    pub(crate) nodes: Vec<Node>,
    /// For each node, the positions of its successors in `nodes`.
    pub(crate) successors: Vec<Vec<usize>>,
    /// Positions in `nodes`, such that every use comes before the definition that it refers to.
    pub(crate) uses_first: Vec<usize>,
}

/// The calls at the end of a block: none, one of a jump, two of a conditional branch.
pub(crate) fn branch_calls(func: &Function, block: ir::Block) -> &[ir::BlockCall] {
    match func.layout.last_inst(block).map(|inst| &func.dfg.insts[inst]) {
        Some(InstructionData::Jump { destination, .. }) => std::slice::from_ref(destination),
        Some(InstructionData::Brif { blocks, .. }) => blocks,
        _ => &[],
    }
}

impl Order {
    /// Orders the blocks of a function and splits its critical edges.
    pub(crate) fn of(func: &Function) -> Result<Self> {
        let entry = func
            .layout
            .entry_block()
            .ok_or_else(|| Error::ControlFlow("the function has no block".into()))?;
        let postorder = postorder(func, entry)?;
        let mut reachable = EntitySet::new();
        let mut predecessors = SecondaryMap::<ir::Block, usize>::new();
        for &block in &postorder {
            reachable.insert(block);
            for target in targets(func, block) {
                predecessors[target] += 1;
            }
        }
        if predecessors[entry] > 0 {
            return Err(Error::ControlFlow(format!("the entry {entry} is a branch target")));
        }

        let mut nodes = Vec::new();
        for block in func.layout.blocks().filter(|block| reachable.contains(*block)) {
            nodes.push(Node::Body(block));
            let calls = branch_calls(func, block).len();
            if calls > 1 {
                for (successor, target) in targets(func, block).enumerate() {
                    if predecessors[target] > 1 {
                        nodes.push(Node::Edge { from: block, successor });
                    }
                }
            }
        }
        let mut bodies = SecondaryMap::<ir::Block, usize>::new();
        let mut edges = SecondaryMap::<ir::Block, [Option<usize>; 2]>::new();
        for (position, node) in nodes.iter().enumerate() {
            match *node {
                Node::Body(block) => bodies[block] = position,
                Node::Edge { from, successor } => edges[from][successor] = Some(position),
            }
        }
        let edge = |from, successor: usize| edges[from][successor];
        let successors = nodes
            .iter()
            .map(|node| match *node {
                Node::Body(block) => targets(func, block)
                    .enumerate()
                    .map(|(n, target)| edge(block, n).unwrap_or(bodies[target]))
                    .collect(),
                Node::Edge { from, successor } => {
                    targets(func, from).skip(successor).take(1).map(|b| bodies[b]).collect()
                }
            })
            .collect();
        // An edge's arguments are uses of what its source defines.
        let uses_first = postorder
            .iter()
            .flat_map(|&block| [edge(block, 0), edge(block, 1), Some(bodies[block])])
            .flatten()
            .collect();
        Ok(Self { nodes, successors, uses_first })
    }
}

fn targets(func: &Function, block: ir::Block) -> impl Iterator<Item = ir::Block> + '_ {
    branch_calls(func, block).iter().map(|call| call.block(&func.dfg.value_lists))
}

/// Reachable blocks, each after the blocks that it dominates.
fn postorder(func: &Function, entry: ir::Block) -> Result<Vec<ir::Block>> {
    let mut seen = EntitySet::new();
    seen.insert(entry);
    let mut order = Vec::new();
    let mut stack = vec![(entry, targets(func, entry).collect::<Vec<_>>())];
    while let Some((block, rest)) = stack.last_mut() {
        if let Some(target) = rest.pop() {
            if !func.layout.is_block_inserted(target) {
                return Err(Error::ControlFlow(format!("{target} is not in the layout")));
            }
            if seen.insert(target) {
                stack.push((target, targets(func, target).collect()));
            }
        } else {
            order.push(*block);
            stack.pop();
        }
    }
    Ok(order)
}
