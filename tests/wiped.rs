//! What is left of a token in memory that was freed.
//!
//! An allocator that looks at each block when it is freed is the one sound way to see it: later the
//! block belongs to another owner.
#![allow(unsafe_code, reason = "an allocator can't be written without; nothing else here is")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use plex_auth::Token;
use plex_auth::wire::WireToken;

/// The bytes that must not be in a freed block.
const SECRET: &[u8; 24] = b"q8Jw2vXz5LtR7mNc3KbY9pHd";

static LOOKING: AtomicBool = AtomicBool::new(false);
static FREED_WITH_IT: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);

struct Looking;

// SAFETY: everything is `System`'s; a block is read only while it is still the caller's to free.
unsafe impl GlobalAlloc for Looking {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: what the caller promised goes on to `System`. Zeroed, because what is read below
        // may be more than what the owner wrote.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if LOOKING.load(SeqCst) {
            // SAFETY: the block is `layout.size()` bytes long, initialised by `alloc`, and nobody
            // else's any more.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            FREED.fetch_add(1, SeqCst);
            if bytes.windows(8).any(|bytes| SECRET.windows(8).any(|piece| piece == bytes)) {
                FREED_WITH_IT.fetch_add(1, SeqCst);
            }
        }
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Looking = Looking;

/// How many blocks were freed with a piece of the secret in them.
fn freed_with_it(act: impl FnOnce()) -> usize {
    FREED_WITH_IT.store(0, SeqCst);
    FREED.store(0, SeqCst);
    LOOKING.store(true, SeqCst);
    act();
    LOOKING.store(false, SeqCst);
    assert!(FREED.load(SeqCst) > 0, "nothing was freed");
    FREED_WITH_IT.load(SeqCst)
}

fn secret() -> String {
    String::from_utf8(SECRET.to_vec()).unwrap()
}

/// One test, because the counters are the process's.
#[test]
fn the_last_clone_of_a_token_leaves_nothing() {
    // What a dropped string leaves is seen.
    let text = secret();
    assert_eq!(freed_with_it(|| drop(text)), 1);

    // From a `&str`, and from a `String`, whose buffer it takes over.
    for token in [Token::try_from(&*secret()).unwrap(), Token::try_from(secret()).unwrap()] {
        let clone = token.clone();
        drop(token);
        assert_eq!(clone.expose_secret().as_bytes(), SECRET);
        assert_eq!(freed_with_it(|| drop(clone)), 0);
    }
    let refused = secret() + "\n";
    assert_eq!(freed_with_it(|| drop(Token::try_from(refused).unwrap_err())), 0);
    let of_a_body: WireToken = serde_json::from_str(&format!("\"{}\"", secret())).unwrap();
    assert_eq!(freed_with_it(|| drop(of_a_body)), 0);
}
