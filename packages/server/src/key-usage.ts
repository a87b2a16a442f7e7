import type { X509Certificate } from 'node:crypto'

/** What a certificate is shown as, and the extended key usage for that (RFC 5280 §4.2.1.12). */
const PURPOSE = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' } as const
const ANY_PURPOSE = '2.5.29.37.0'

/**
 * Whether a certificate is for TLS servers, or TLS clients, by its extended key usage.
 * - `named`: it says so.
 * - `unlimited`: it has no such extension, or one with any purpose.
 * - `other`: for other purposes alone.
 */
export function fitnessFor(
  side: keyof typeof PURPOSE,
  // Node calls the extended one so, and has none where the certificate has none.
  { keyUsage }: { readonly keyUsage: X509Certificate['keyUsage'] | undefined },
): 'named' | 'unlimited' | 'other' {
  if (keyUsage?.includes(PURPOSE[side]) === true) return 'named'
  return keyUsage === undefined || keyUsage.includes(ANY_PURPOSE) ? 'unlimited' : 'other'
}
