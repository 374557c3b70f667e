//! Any answer of an upstream is read within bounds, and what was read is written and read back the same.

use spandrel::wire::Signal;
use spandrel::wire::reply::{
    Encoding, PARTIAL_MESSAGE_MAX, STATUS_MESSAGE_MAX, VIOLATIONS_MAX, read_partial, read_status, status,
    success,
};

pub fn check(body: &[u8]) {
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        let read = read_status(encoding, body);
        assert!(read.message.len() <= STATUS_MESSAGE_MAX && read.violations.len() <= VIOLATIONS_MAX);
        for written in [Encoding::Protobuf, Encoding::Json] {
            assert_eq!(read_status(written, &status(written, &read)), read);
        }
        for signal in Signal::ALL {
            let partial = read_partial(signal, encoding, body);
            assert!(partial.as_ref().is_none_or(|p| p.message.len() <= PARTIAL_MESSAGE_MAX));
            for encoding in [Encoding::Protobuf, Encoding::Json] {
                let written = success(signal, encoding, partial.as_ref());
                assert_eq!(read_partial(signal, encoding, &written), partial);
            }
        }
    }
}
