//! Any text as a page of a listing: it is read whole or refused. No cut of a page is a page, keys are under the
//! prefix, and a page never leads to itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mediagate::s3::{ListPage, ListRequest};

fuzz_target!(|input: &[u8]| {
    let Some((&[cut, prefix], text)) = input.split_first_chunk::<2>() else { return };
    let prefix = if prefix % 2 == 0 { "" } else { "a/" };
    let request =
        ListRequest { prefix, recursive: true, page_size: 1000, continuation: Some("t"), start_after: None };
    read(text, &request);
    // A fuzzer seldom closes what it opens.
    let whole = [b"<ListBucketResult>", text, b"</ListBucketResult>"].concat();
    read(&whole, &request);
    let end = whole.trim_ascii_end().len().saturating_sub(1 + usize::from(cut));
    if let Ok(page) = ListPage::read(&whole[..end], &request) {
        // It may have had two ends.
        let is_end = whole[..end].trim_ascii_end().ends_with(b"</ListBucketResult>");
        assert!(is_end, "{page:?}");
    }
});

fn read(text: &[u8], request: &ListRequest<'_>) {
    let Ok(page) = ListPage::read(text, request) else { return };
    let count = |part: &[u8]| text.windows(part.len()).filter(|window| *window == part).count();
    assert_eq!(page.objects.len(), count(b"</Contents>"));
    assert_eq!(page.prefixes.len(), count(b"</CommonPrefixes>"));
    assert!(page.objects.iter().all(|object| object.key.starts_with(request.prefix)));
    assert!(page.prefixes.iter().all(|prefix| prefix.starts_with(request.prefix)));
    assert!(page.next.as_deref() != request.continuation);
}
