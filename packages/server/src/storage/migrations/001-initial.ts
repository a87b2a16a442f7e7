/**
 * Lengths in bytes stand in the CHECKs; EUIs, NetIDs and DevAddrs are big-endian; times are milliseconds since 1970.
 * Every row of an owner's data names its organisation. Receipts and heads do not: their chains belong to the HSM and
 * run through all organisations.
 *
 * A device that never joined is one row of `device` and one of `key_set`, which are kept small: flags and small numbers
 * take no byte of their own.
 */
export const INITIAL_SCHEMA = `
CREATE TABLE organisation (
  id INTEGER PRIMARY KEY,
  public_id BLOB NOT NULL UNIQUE CHECK (length(public_id) = 16)
) STRICT;

CREATE TABLE meta (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  created_at INTEGER NOT NULL,
  hsm_epoch INTEGER NOT NULL,
  -- Of those that are not removed: counting them would be a scan of all.
  devices INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE peer (
  id INTEGER PRIMARY KEY,
  organisation INTEGER NOT NULL REFERENCES organisation (id),
  peer_id BLOB NOT NULL UNIQUE CHECK (length(peer_id) = 16),
  kind TEXT NOT NULL CHECK (kind IN ('ns', 'as')),
  name TEXT NOT NULL,
  ns_id BLOB CHECK (length(ns_id) = 8),
  protocol TEXT NOT NULL CHECK (protocol IN ('1.0', '1.1')),
  dialect TEXT NOT NULL,
  async_url TEXT,
  kek_only INTEGER NOT NULL CHECK (kek_only IN (0, 1)),
  disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
  -- The CA that issues the peer's certificates, and the name that they carry: all three, or none.
  authority_fingerprint BLOB CHECK (length(authority_fingerprint) = 32),
  authority_name TEXT,
  authority_pem TEXT,
  created_at INTEGER NOT NULL,
  UNIQUE (kind, name),
  UNIQUE (authority_fingerprint, authority_name),
  CHECK ((authority_fingerprint IS NULL) = (authority_name IS NULL)),
  CHECK ((authority_fingerprint IS NULL) = (authority_pem IS NULL))
) STRICT;

-- A certificate means one peer, or the listener could not tell who calls.
CREATE TABLE peer_certificate (
  id INTEGER PRIMARY KEY,
  organisation INTEGER NOT NULL REFERENCES organisation (id),
  fingerprint BLOB NOT NULL UNIQUE CHECK (length(fingerprint) = 32),
  peer INTEGER NOT NULL REFERENCES peer (id) ON DELETE CASCADE,
  subject TEXT NOT NULL,
  not_before INTEGER NOT NULL,
  not_after INTEGER NOT NULL,
  added_at INTEGER NOT NULL
) STRICT;

CREATE INDEX peer_certificate_by_peer ON peer_certificate (peer);

-- SHA-256 of the value of an HTTP header that a peer without a certificate shows. It means one peer, likewise.
CREATE TABLE peer_token (
  id INTEGER PRIMARY KEY,
  organisation INTEGER NOT NULL REFERENCES organisation (id),
  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
  peer INTEGER NOT NULL REFERENCES peer (id) ON DELETE CASCADE,
  header TEXT NOT NULL,
  added_at INTEGER NOT NULL
) STRICT;

CREATE INDEX peer_token_by_peer ON peer_token (peer);

-- Of one device, or of all whose JoinEUI begins with the first bits of join_eui.
CREATE TABLE agreement (
  id INTEGER PRIMARY KEY,
  organisation INTEGER NOT NULL REFERENCES organisation (id),
  peer INTEGER NOT NULL REFERENCES peer (id) ON DELETE CASCADE,
  dev_eui BLOB CHECK (length(dev_eui) = 8),
  join_eui BLOB CHECK (length(join_eui) = 8),
  bits INTEGER CHECK (bits BETWEEN 0 AND 64),
  added_at INTEGER NOT NULL,
  UNIQUE (peer, dev_eui),
  UNIQUE (peer, join_eui, bits),
  CHECK ((dev_eui IS NULL) = (join_eui IS NOT NULL)),
  CHECK ((join_eui IS NULL) = (bits IS NULL))
) STRICT;

-- Where join-requests of other JoinEUIs go. The private key of the certificate lies in a file of its own.
CREATE TABLE route (
  id INTEGER PRIMARY KEY,
  organisation INTEGER NOT NULL REFERENCES organisation (id),
  route_id BLOB NOT NULL UNIQUE CHECK (length(route_id) = 16),
  join_eui BLOB NOT NULL CHECK (length(join_eui) = 8),
  bits INTEGER NOT NULL CHECK (bits BETWEEN 0 AND 64),
  url TEXT NOT NULL,
  protocol TEXT NOT NULL CHECK (protocol IN ('1.0', '1.1')),
  certificate_pem TEXT NOT NULL,
  authority_pem TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (join_eui, bits)
) STRICT;

CREATE TABLE kek (
  id INTEGER PRIMARY KEY,
  organisation INTEGER NOT NULL REFERENCES organisation (id),
  kek_id BLOB NOT NULL UNIQUE CHECK (length(kek_id) = 16),
  kind TEXT NOT NULL CHECK (kind IN ('ns', 'as')),
  recipient TEXT NOT NULL,
  label TEXT NOT NULL,
  kek_version INTEGER NOT NULL,
  size INTEGER NOT NULL CHECK (size IN (16, 24, 32)),
  record BLOB NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX kek_by_recipient ON kek (kind, recipient, kek_version);

CREATE TABLE device (
  id INTEGER PRIMARY KEY,
  organisation INTEGER NOT NULL REFERENCES organisation (id),
  device_id BLOB NOT NULL UNIQUE CHECK (length(device_id) = 16),
  created_at INTEGER NOT NULL,
  keys_delivered INTEGER NOT NULL CHECK (keys_delivered IN (0, 1)),
  removed_at INTEGER
) STRICT;

-- A removed key set has lost its record and keeps the digest of its root key, by which it is known if it comes back.
CREATE TABLE key_set (
  id INTEGER PRIMARY KEY,
  organisation INTEGER NOT NULL REFERENCES organisation (id),
  device INTEGER NOT NULL REFERENCES device (id),
  dev_eui BLOB NOT NULL CHECK (length(dev_eui) = 8),
  join_eui BLOB NOT NULL CHECK (length(join_eui) = 8),
  generation INTEGER NOT NULL,
  live INTEGER NOT NULL CHECK (live IN (0, 1)),
  removed_key_digest BLOB CHECK (length(removed_key_digest) = 16),
  record BLOB NOT NULL,
  -- 0 before the first join.
  last_join_nonce INTEGER NOT NULL DEFAULT 0 CHECK (last_join_nonce BETWEEN 0 AND 16777215),
  -- sqlite/join-row.ts: all that a join reads and writes lies in this one row.
  joins BLOB NOT NULL DEFAULT x'',
  CHECK (live = (removed_key_digest IS NULL) AND live = (length(record) > 0)),
  CHECK ((last_join_nonce > 0) = (length(joins) > 0))
) STRICT;

CREATE INDEX key_set_by_eui ON key_set (dev_eui, join_eui);
CREATE INDEX key_set_by_device ON key_set (device);

-- Receipts of one chain, ascending, as one commit had them. What a worker sends again lies in two rows, and so do two
-- receipts of one place, which would be a forked chain: a reader sees both.
CREATE TABLE receipt (
  id INTEGER PRIMARY KEY,
  boot_epoch INTEGER NOT NULL,
  worker INTEGER NOT NULL,
  first_sequence INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  bodies BLOB NOT NULL
) STRICT;

CREATE INDEX receipt_by_chain ON receipt (boot_epoch, worker, first_sequence);

CREATE TABLE receipt_head (
  boot_epoch INTEGER NOT NULL,
  worker INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  closing INTEGER NOT NULL CHECK (closing IN (0, 1)),
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  signature BLOB NOT NULL CHECK (length(signature) = 64),
  PRIMARY KEY (boot_epoch, worker, sequence, closing, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE stored_order (
  id INTEGER PRIMARY KEY,
  organisation INTEGER NOT NULL REFERENCES organisation (id),
  signer BLOB NOT NULL CHECK (length(signer) = 16),
  sequence INTEGER NOT NULL CHECK (sequence > 0),
  state TEXT NOT NULL CHECK (state IN ('waiting', 'adopted', 'refused')),
  code TEXT,
  detail TEXT,
  submitted_at INTEGER NOT NULL,
  settled_at INTEGER,
  signatures BLOB NOT NULL,
  certificates TEXT NOT NULL,
  text BLOB NOT NULL,
  envelope BLOB,
  UNIQUE (signer, sequence),
  CHECK ((state = 'waiting') = (settled_at IS NULL)),
  CHECK ((state = 'refused') = (code IS NOT NULL)),
  CHECK (state = 'waiting' OR envelope IS NULL)
) STRICT;

CREATE INDEX stored_order_by_state ON stored_order (state, id);

-- Requests of peers that are answered asynchronously, from their acknowledgement until their answer has been posted.
CREATE TABLE deferred_request (
  id INTEGER PRIMARY KEY,
  organisation INTEGER NOT NULL REFERENCES organisation (id),
  peer_id BLOB NOT NULL CHECK (length(peer_id) = 16),
  received_at INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;

CREATE TABLE api_key (
  api_key_id TEXT PRIMARY KEY,
  organisation INTEGER NOT NULL REFERENCES organisation (id),
  name TEXT NOT NULL,
  token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
) STRICT;
`
