//! libsrtp 2, loaded while the test runs, so that nothing needs its headers to build.

use libloading::Library;
use ringway::rtp::srtp::{MasterKey, Suite};
use std::ffi::{c_int, c_uchar, c_uint, c_ulong, c_void};
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

/// Debian's libsrtp2-1.
const FILE: &str = "libsrtp2.so.1";
/// Packets that its replay windows remember, as many as ours.
const WINDOW: c_ulong = 128;

/// `srtp_crypto_policy_t`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CryptoPolicy {
    cipher_type: c_uint,
    cipher_key_len: c_int,
    auth_type: c_uint,
    auth_key_len: c_int,
    auth_tag_len: c_int,
    services: c_uint,
}

/// `srtp_policy_t`.
#[repr(C)]
struct Policy {
    ssrc_type: c_uint,
    ssrc: c_uint,
    rtp: CryptoPolicy,
    rtcp: CryptoPolicy,
    key: *const c_uchar,
    keys: *mut c_void,
    num_master_keys: c_ulong,
    deprecated_ekt: *mut c_void,
    window_size: c_ulong,
    allow_repeat_tx: c_int,
    encrypted_extensions: *mut c_int,
    encrypted_extension_count: c_int,
    next: *const Policy,
}

type SetPolicy = unsafe extern "C" fn(*mut CryptoPolicy);
type Packet = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_int) -> c_uint;

/// The functions that are used. They live as long as the process: the library is never unloaded.
struct Functions {
    library: Library,
    create: unsafe extern "C" fn(*mut *mut c_void, *const Policy) -> c_uint,
    dealloc: unsafe extern "C" fn(*mut c_void) -> c_uint,
    protect: Packet,
    unprotect: Packet,
    protect_rtcp: Packet,
    unprotect_rtcp: Packet,
}

/// Which way a session works.
#[derive(Clone, Copy)]
pub enum Direction {
    /// `ssrc_any_inbound`.
    Inbound = 2,
    /// `ssrc_any_outbound`.
    Outbound = 3,
}

/// One direction of a session under one key.
pub struct Session {
    functions: &'static Functions,
    context: *mut c_void,
}

fn functions() -> Option<&'static Functions> {
    static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
    let functions = FUNCTIONS.get_or_init(|| {
        // SAFETY: loading the library runs no code but its own set-up, which has no demands.
        let library = unsafe { Library::new(FILE) }.ok()?;
        // SAFETY: each symbol is used with the type that libsrtp's srtp.h gives it.
        unsafe {
            let init: unsafe extern "C" fn() -> c_uint = *library.get(b"srtp_init\0").ok()?;
            assert_eq!(init(), 0, "srtp_init");
            Some(Functions {
                create: *library.get(b"srtp_create\0").ok()?,
                dealloc: *library.get(b"srtp_dealloc\0").ok()?,
                protect: *library.get(b"srtp_protect\0").ok()?,
                unprotect: *library.get(b"srtp_unprotect\0").ok()?,
                protect_rtcp: *library.get(b"srtp_protect_rtcp\0").ok()?,
                unprotect_rtcp: *library.get(b"srtp_unprotect_rtcp\0").ok()?,
                library,
            })
        }
    });
    if functions.is_none() {
        eprintln!(
            "{FILE} is missing (Debian: libsrtp2-1; `make test` installs it): nothing to compare with"
        );
    }
    functions.as_ref()
}

impl Functions {
    /// What `srtp.h` calls the policies of a suite, for RTP and for RTCP.
    fn policies(&self, suite: Suite) -> Option<[CryptoPolicy; 2]> {
        let names: [&[u8]; 2] = match suite {
            Suite::AesCm128HmacSha1_80 => [b"rtp_default\0"; 2].map(|name| &name[..]),
            Suite::AesCm128HmacSha1_32 => [b"aes_cm_128_hmac_sha1_32\0", b"rtp_default\0"],
            Suite::AesCm256HmacSha1_80 => [b"aes_cm_256_hmac_sha1_80\0"; 2].map(|name| &name[..]),
            Suite::AesCm256HmacSha1_32 => {
                [b"aes_cm_256_hmac_sha1_32\0", b"aes_cm_256_hmac_sha1_80\0"]
            }
            Suite::AeadAes128Gcm => [b"aes_gcm_128_16_auth\0"; 2].map(|name| &name[..]),
            Suite::AeadAes256Gcm => [b"aes_gcm_256_16_auth\0"; 2].map(|name| &name[..]),
        };
        let mut policies = [CryptoPolicy::default(); 2];
        for (name, policy) in names.into_iter().zip(&mut policies) {
            let symbol = [&b"srtp_crypto_policy_set_"[..], name].concat();
            // SAFETY: all functions of these names have this type, and write the policy they are given.
            unsafe {
                let set: SetPolicy = *self.library.get(symbol.as_slice()).ok()?;
                set(policy);
            }
        }
        Some(policies)
    }
}

impl Session {
    /// A session. None, and a word about it, if the library or this suite is not there.
    pub fn new(master: &MasterKey, direction: Direction) -> Option<Session> {
        let functions = functions()?;
        let [rtp, rtcp] = functions.policies(master.suite())?;
        let policy = Policy {
            ssrc_type: direction as c_uint,
            ssrc: 0,
            rtp,
            rtcp,
            key: master.key_and_salt().as_ptr(),
            keys: null_mut(),
            num_master_keys: 0,
            deprecated_ekt: null_mut(),
            window_size: WINDOW,
            allow_repeat_tx: 0,
            encrypted_extensions: null_mut(),
            encrypted_extension_count: 0,
            next: null(),
        };
        let mut context = null_mut();
        // SAFETY: the policy is whole and outlives the call, which copies what it keeps; the key is as long as it says.
        let status = unsafe { (functions.create)(&mut context, &policy) };
        if status != 0 {
            eprintln!("{FILE} was built without {}", master.suite().name());
            return None;
        }
        Some(Session { functions, context })
    }

    fn call(&mut self, function: Packet, packet: &mut [u8], len: usize) -> Result<usize, u32> {
        let mut length = c_int::try_from(len).expect("a packet is short");
        assert!(len <= packet.len());
        // SAFETY: the session lives, and the packet has the length that is told, with room behind it for the trailer.
        let status = unsafe { function(self.context, packet.as_mut_ptr().cast(), &mut length) };
        match status {
            0 => Ok(usize::try_from(length).expect("a length")),
            status => Err(status),
        }
    }

    /// Seals the RTP packet that is the first `len` bytes; at least 144 more (`SRTP_MAX_TRAILER_LEN`) lie behind it.
    pub fn seal(&mut self, packet: &mut [u8], len: usize) -> Result<usize, u32> {
        self.call(self.functions.protect, packet, len)
    }

    /// Opens an RTP packet.
    pub fn open(&mut self, packet: &mut [u8]) -> Result<usize, u32> {
        self.call(self.functions.unprotect, packet, packet.len())
    }

    /// As [`Session::seal`], RTCP.
    pub fn seal_rtcp(&mut self, packet: &mut [u8], len: usize) -> Result<usize, u32> {
        self.call(self.functions.protect_rtcp, packet, len)
    }

    /// Opens an RTCP packet.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, u32> {
        self.call(self.functions.unprotect_rtcp, packet, packet.len())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: the session was made by srtp_create and is not used again.
        unsafe { (self.functions.dealloc)(self.context) };
    }
}
