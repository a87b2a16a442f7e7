import type { HsmClient } from '@mortise/hsm'
import type { Storage } from '../storage/index.ts'
import type { Admission, Listener } from './backend-interfaces/index.ts'
import type { Gauge } from './metrics.ts'

export interface GaugeSources {
  readonly hsm: Pick<HsmClient, 'state' | 'inFlight'>
  readonly storage: Storage
  readonly listener: Pick<Listener, 'connections'>
  readonly admission: Pick<Admission, 'inFlight' | 'places'>
}

/** Everything of the server that /metrics shows as it is at that moment. */
export function serverGauges({ hsm, storage, listener, admission }: GaugeSources): readonly Gauge[] {
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
  ]
}
