//! Rotary position embedding of single heads.

use super::isa::vectorized;

vectorized! {
    /// Rotates a head in place, `x * cos + rotate_half(x) * sin`, with the halves of the head as coordinates. `cos` and
    /// `sin` hold half a head each.
    pub fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
        let (left, right) = head.split_at_mut(cos.len());
        for (((left, right), cos), sin) in left.iter_mut().zip(right).zip(cos).zip(sin) {
            (*left, *right) = (*left * cos - *right * sin, *right * cos + *left * sin);
        }
    }
}
