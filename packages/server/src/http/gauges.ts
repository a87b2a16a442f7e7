import type { HsmClient } from '@mortise/hsm'
import { installedCertificates, type OwnCertificates } from '../kms/index.ts'
import type { Storage } from '../storage/index.ts'
import type { Admission, Listener } from './backend-interfaces/index.ts'
import type { Gauge, Sample } from './metrics.ts'

export interface GaugeSources {
  readonly hsm: Pick<HsmClient, 'state' | 'inFlight'>
  readonly storage: Storage
  readonly listener: Pick<Listener, 'connections'>
  readonly admission: Pick<Admission, 'inFlight' | 'places'>
  readonly ownCertificates: OwnCertificates
}

/** Everything of the server that /metrics shows as it is at that moment. */
export function serverGauges({ hsm, storage, listener, admission, ownCertificates }: GaugeSources): readonly Gauge[] {
  return [
    { name: 'mortise_hsm_ready', help: '1 when the HSM process serves.', read: () => (hsm.state === 'ready' ? 1 : 0) },
    { name: 'mortise_hsm_in_flight', help: 'Requests that the HSM process works on.', read: () => hsm.inFlight },
    {
      name: 'mortise_database_ok',
      help: '1 when the last commit to the database worked.',
      read: () => (storage.failure === undefined ? 1 : 0),
    },
    { name: 'mortise_devices', help: 'Devices.', read: () => storage.administration.countDevices() },
    { name: 'process_resident_memory_bytes', help: 'Resident memory.', read: () => process.memoryUsage.rss() },
    { name: 'mortise_connections', help: 'Backend Interfaces connections.', read: () => listener.connections },
    { name: 'mortise_messages_in_flight', help: 'Messages being answered.', read: () => admission.inFlight },
    { name: 'mortise_message_places', help: 'Messages that may be in flight.', read: () => admission.places },
    {
      name: 'mortise_certificate_expiry_seconds',
      help: 'When a certificate ends, in seconds since 1970.',
      read: () => certificateEnds(storage, ownCertificates),
    },
  ]
}

/** As many as there are certificates: a peer has few, and each is watched until it is removed. */
function certificateEnds(storage: Storage, ownCertificates: OwnCertificates): Sample[] {
  return installedCertificates(storage.administration, ownCertificates)
    .filter(({ isDisabled }) => !isDisabled)
    .map(({ kind, id, fingerprint, notAfter }) => ({
      labels: { kind, id, fingerprint },
      value: Math.floor(notAfter / 1000),
    }))
}
