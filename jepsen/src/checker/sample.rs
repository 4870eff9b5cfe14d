//! Random histories of one key for the tests of checkers: a true register serves them, so every one of them is right until
//! a test spoils it.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::register::{ABSENT, Content, Kind, Look, NEVER_NS, Op, Register};

/// The shape of a history.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub ops: usize,
    /// How many clients work at the same time, one operation after the other.
    pub clients: u32,
    pub unknown_percent: u32,
    pub delete_percent: u32,
    pub conditional_percent: u32,
}

/// What a client is about to do.
#[derive(Clone, Copy)]
enum Intent {
    Put { content: Content, needs: Option<Look> },
    Delete,
    Get,
}

/// A right history. Unknown writes take effect at once, later or never.
pub fn history(seed: u64, shape: Shape) -> Register {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut register = Register::default();
    let mut effects: Vec<(u64, usize)> = Vec::new();
    let mut intents = Vec::new();
    let mut free_at: Vec<u64> = (0..u64::from(shape.clients)).collect();
    let mut contents: Vec<Content> = Vec::new();
    for at in 0..shape.ops {
        let client = (0..free_at.len()).min_by_key(|client| free_at[*client]).unwrap_or(0);
        let start_ns = free_at[client] + rng.random_range(1..20);
        let effect_ns = start_ns + rng.random_range(1..60);
        let end_ns = effect_ns + rng.random_range(1..60);
        free_at[client] = end_ns;
        let intent = intend(&mut rng, &mut register, &mut contents, shape);
        let is_write = !matches!(intent, Intent::Get);
        let is_unknown = is_write && rng.random_range(0..100) < shape.unknown_percent;
        let effect_ns = match (is_unknown, rng.random_range(0..3)) {
            (false, _) | (true, 0) => Some(effect_ns),
            (true, 1) => Some(effect_ns + rng.random_range(0..500)),
            (true, _) => None,
        };
        effects.extend(effect_ns.map(|effect_ns| (effect_ns, at)));
        let end_ns = if is_unknown { NEVER_NS } else { end_ns };
        let process = u32::try_from(client).unwrap_or(0);
        let kind = Kind::Look(Look::Is(ABSENT));
        register.ops.push(Op { process, start_ns, end_ns, kind, position: None });
        intents.push(intent);
    }
    effects.sort_unstable();
    serve(&mut register, &intents, &effects);
    register
}

fn intend(
    rng: &mut StdRng,
    register: &mut Register,
    contents: &mut Vec<Content>,
    shape: Shape,
) -> Intent {
    let dice = rng.random_range(0..100);
    if dice < shape.delete_percent {
        return Intent::Delete;
    }
    if dice < 50 {
        return Intent::Get;
    }
    let content = register.content(&contents.len().to_string());
    let is_conditional = rng.random_range(0..100) < shape.conditional_percent;
    let needs = match (is_conditional, contents.len()) {
        (false, _) => None,
        (true, known) if known == 0 || rng.random_bool(0.5) => Some(Look::Is(ABSENT)),
        (true, known) => {
            let newest = known.saturating_sub(3);
            Some(Look::Is(contents[rng.random_range(newest..known)]))
        }
    };
    contents.push(content);
    Intent::Put { content, needs }
}

/// What a true register answers when the effects happen in this order.
fn serve(register: &mut Register, intents: &[Intent], effects: &[(u64, usize)]) {
    let (mut holds, mut at) = (ABSENT, None);
    for (op, intent) in register.ops.iter_mut().zip(intents) {
        // What never happens stays as it was asked.
        op.kind = match *intent {
            Intent::Put { content, needs } => Kind::Write { content, needs },
            Intent::Delete => Kind::Write { content: ABSENT, needs: None },
            Intent::Get => Kind::Look(Look::Is(ABSENT)),
        };
    }
    for (position, (_, op)) in (1_u128..).zip(effects) {
        let told = &mut register.ops[*op];
        let is_unknown = told.is_unknown();
        match intents[*op] {
            Intent::Put { needs: Some(look), .. } if !look.holds(holds) => {
                if is_unknown {
                    continue;
                }
                told.kind = Kind::Look(match (look, holds) {
                    (_, ABSENT) => Look::Is(ABSENT),
                    (Look::Is(wanted) | Look::Not(wanted) | Look::IsOrAbsent(wanted), _) => {
                        Look::Not(wanted)
                    }
                });
            }
            Intent::Put { content, .. } => {
                (holds, at) = (content, Some(position));
                told.position = at.filter(|_| !is_unknown);
            }
            Intent::Delete => (holds, at) = (ABSENT, None),
            Intent::Get => {
                told.kind = Kind::Look(Look::Is(holds));
                told.position = at;
            }
        }
    }
}
