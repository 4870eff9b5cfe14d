//! What a gRPC status carries beside its text: bytes of a message, which only this crate reads and writes.

use prost::Message;

use crate::wire::v1::BlobFault;

/// The details of a status about a blob.
pub fn encode_fault(fault: &BlobFault) -> Vec<u8> {
    fault.encode_to_vec()
}

/// None: the status is about something else, such as the connection.
pub fn decode_fault(details: &[u8]) -> Option<BlobFault> {
    if details.is_empty() {
        return None;
    }
    BlobFault::decode(details).ok()
}
