//! Accounting of KV pages.

use crate::cpu::{KvPages, KvShape, KvType};
use crate::{PageId, PageStore};
use std::collections::HashSet;

const SHAPE: KvShape = KvShape { layers: 3, kv_heads: 2, width: 40 };

#[test]
fn pages_are_allocated_once_until_released() {
    let mut pages = KvPages::new(SHAPE, KvType::Bf16, 5);
    // Keys of 20 words and values of two panels of 16 steps, for 32 columns of 4 bytes.
    assert_eq!(pages.page_bytes(), 3 * 2 * (20 + 2 * 16) * 32 * 4);
    assert_eq!((pages.references().used(), pages.references().free()), (0, 5));
    let ids: Vec<PageId> = (0..5).map(|_| pages.allocate().unwrap()).collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 5);
    assert_eq!((pages.references().used(), pages.references().free()), (5, 0));
    assert_eq!((pages.allocate(), pages.copy(ids[0], 3)), (None, None));
    pages.references_mut().retain(ids[2]);
    assert!(pages.references().is_shared(ids[2]) && !pages.references().is_shared(ids[1]));
    pages.references_mut().release(ids[2]);
    assert!(!pages.references().is_shared(ids[2]));
    assert_eq!(pages.references().used(), 5);
    pages.references_mut().release(ids[2]);
    assert_eq!((pages.references().used(), pages.references().free()), (4, 1));
    let copy = pages.copy(ids[0], 3).unwrap();
    assert_eq!((copy, pages.references().used()), (ids[2], 5));
    assert!(!pages.references().is_shared(copy) && !pages.references().is_shared(ids[0]));
}

#[test]
fn pages_span_several_slabs() {
    // A page of 20 MB does not share its slab.
    let shape = KvShape { layers: 10, kv_heads: 128, width: 64 };
    let mut pages = KvPages::new(shape, KvType::F32, 3);
    assert!(pages.page_bytes() > 16 << 20);
    let ids: Vec<PageId> = (0..3).map(|_| pages.allocate().unwrap()).collect();
    assert_eq!(pages.copy(ids[1], 32), None);
    pages.references_mut().release(ids[2]);
    assert_eq!(pages.copy(ids[1], 32), Some(ids[2]));
}

#[test]
#[should_panic(expected = "a released page")]
fn a_page_is_not_released_twice() {
    let mut pages = KvPages::new(SHAPE, KvType::F32, 2);
    let page = pages.allocate().unwrap();
    pages.references_mut().release(page);
    pages.references_mut().release(page);
}

#[test]
#[should_panic(expected = "not whole words")]
fn heads_are_whole_words() {
    let _ = KvPages::new(KvShape { width: 21, ..SHAPE }, KvType::Bf16, 2);
}
