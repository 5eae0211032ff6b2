//! AES in counter mode (RFC 3711 §4.1.1; with 256 bits RFC 6188 §2): a block cipher whose key stream begins at a given
//! counter block.

use aes::cipher::array::sizes::U16;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipher};
use aes::{Aes128Enc, Aes256Enc};

/// The cipher with its round keys, which are wiped when it goes.
pub(super) enum CounterMode {
    Aes128(Box<Aes128Enc>),
    Aes256(Box<Aes256Enc>),
}

impl CounterMode {
    /// AES of 16 bytes of key, or of 32.
    pub(super) fn new(key: &[u8]) -> CounterMode {
        match key.len() {
            16 => CounterMode::Aes128(expect_cipher(key)),
            _ => CounterMode::Aes256(expect_cipher(key)),
        }
    }

    /// Adds the key stream to the bytes: encrypts, or decrypts. The low 16 bits of the counter are free for it, so that
    /// it may be 1 MiB long, and no packet is.
    #[inline]
    pub(super) fn apply(&self, counter: &[u8; 16], bytes: &mut [u8]) {
        match self {
            CounterMode::Aes128(cipher) => add_key_stream(&**cipher, counter, bytes),
            CounterMode::Aes256(cipher) => add_key_stream(&**cipher, counter, bytes),
        }
    }
}

fn expect_cipher<C: KeyInit>(key: &[u8]) -> Box<C> {
    Box::new(C::new_from_slice(key).expect("a suite's key is one of AES"))
}

#[inline]
fn add_key_stream<C>(cipher: &C, counter: &[u8; 16], bytes: &mut [u8])
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    let core = ctr::CtrCore::inner_iv_init(cipher, counter.into());
    ctr::Ctr128BE::<&C>::from_core(core).apply_keystream(bytes);
}

#[cfg(test)]
mod tests {
    use super::super::testing::hex;
    use super::*;

    /// RFC 3711 appendix B.2, RFC 6188 §7.1: three blocks from the start, three around the end of 16 bits.
    #[test]
    fn the_key_streams_of_the_rfcs() {
        let counter = *hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd0000")
            .first_chunk()
            .expect("a block");
        for (key, first, last) in [
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                "e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0",
                "ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae6a2cc3787889374fbeb4c81b17ba6c44",
            ),
            (
                "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
                "92bdd28a93c3f52511c677d08b5515a49da71b2378a854f67050756ded165bac63c4868b7096d88421b563b8c94c9a31",
                "cea518c90fd91ced9cbb18c078a547113dbc4814f4da5f00a08772b63c6a046d6eb246913062a16891433e97dd01a57f",
            ),
        ] {
            let mut stream = vec![0; 16 * 0xff02];
            CounterMode::new(&hex(key)).apply(&counter, &mut stream);
            assert_eq!(stream[..48], hex(first));
            assert_eq!(stream[stream.len() - 48..], hex(last));
        }
    }
}
