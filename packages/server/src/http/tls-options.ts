import { constants } from 'node:crypto'
import type { TlsOptions } from 'node:tls'

/**
 * Ephemeral keys and authenticated encryption only. AES-128 first: it protects keys of 128 bits, and its SHA-256 makes
 * the handshake cheaper than the SHA-384 of AES-256.
 */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
]

/**
 * What both listeners have in common. Renegotiation (TLS 1.2) would let a client have handshakes at our cost on one
 * connection. Tickets would keep a copy of the session in every client for a resumption that no known peer asks for, and
 * cost an eighth of the handshake.
 */
export const TLS_OPTIONS: TlsOptions = {
  minVersion: 'TLSv1.2',
  ciphers: CIPHERS.join(':'),
  honorCipherOrder: true,
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_COMPRESSION,
}
