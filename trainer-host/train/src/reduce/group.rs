//! Some ranks of a world as a world of their own.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::ranks::World;
use super::{Message, Missing, Reduce, Wait, bytes, floats, part, sum_of};

/// Some ranks of a world, in ascending order: they exchange by its link as if there were no others.
pub(super) struct Group {
    world: Arc<World>,
    members: Vec<usize>,
    rank: usize,
    /// Own values of sums that have begun.
    begun: VecDeque<(Vec<f32>, Wait)>,
}

impl Group {
    pub fn new(world: Arc<World>, members: Vec<usize>) -> Self {
        let rank = members.iter().position(|member| *member == world.rank);
        Self {
            rank: rank.unwrap_or_default(),
            world,
            members,
            begun: VecDeque::new(),
        }
    }
}

impl Reduce for Group {
    fn rank(&self) -> usize {
        self.rank
    }

    fn ranks(&self) -> usize {
        self.members.len()
    }

    fn exchange(&mut self, messages: Vec<Message>, lengths: Vec<usize>, wait: Wait) -> Result<Vec<Message>, Missing> {
        let count = self.world.places.len();
        let (mut to, mut from) = (vec![Message::default(); count], vec![0; count]);
        for ((member, message), length) in self.members.iter().zip(messages).zip(lengths) {
            (to[*member], from[*member]) = (message, length);
        }
        let exchanged = self.world.with(|link, _| link.exchange(to, from, wait));
        let Ok(mut received) = exchanged else {
            let lost = self.world.lost().as_ref().map_or(Vec::new(), |(lost, _)| lost.clone());
            let missing = (0..self.members.len()).filter(|rank| lost.contains(&self.members[*rank]));
            return Err(Missing(missing.collect()));
        };
        Ok(self
            .members
            .iter()
            .map(|member| std::mem::take(&mut received[*member]))
            .collect())
    }

    fn add_up(&mut self, values: Vec<f32>, wait: Wait) {
        self.begun.push_back((values, wait));
    }

    fn summed(&mut self) -> Result<Vec<f32>, Missing> {
        let (rank, ranks) = (self.rank, self.ranks());
        let (mut values, wait) = self.begun.pop_front().ok_or(Missing(vec![rank]))?;
        let parts: Vec<Range<usize>> = (0..ranks).map(|r| part(r, ranks, values.len())).collect();
        let others = |r: usize| (r != rank).then(|| parts[r].clone());
        let of_parts = (0..ranks).map(|r| others(r).map_or_else(Message::default, |part| bytes(&values[part]).into()));
        let own = (0..ranks).map(|r| others(r).map_or(0, |_| size_of_val(&values[parts[rank].clone()])));
        let received = self.exchange(of_parts.collect(), own.collect(), wait)?;
        let total = sum_of(rank, &values[parts[rank].clone()], &received);
        let lengths = (0..ranks).map(|r| others(r).map_or(0, |part| size_of_val(&values[part])));
        let received = self.exchange(vec![bytes(&total).into(); ranks], lengths.collect(), wait)?;
        values[parts[rank].clone()].copy_from_slice(&total);
        for (r, message) in received.iter().enumerate() {
            let Some(part) = others(r) else { continue };
            for (value, sum) in values[part].iter_mut().zip(floats(message)) {
                *value = sum;
            }
        }
        Ok(values)
    }
}
