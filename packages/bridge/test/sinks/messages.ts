import { parseDevEui } from '@mortise/lorawan'

/** An uplink in clear, as sinks get it. */
export const MESSAGE = {
  reading: {
    devEui: parseDevEui('70b3d57ed0061a01'),
    deviceName: 'door-1',
    time: '2026-11-21T10:00:00Z',
    fPort: 2,
    fCnt: 7,
    sessionKeyId: '0102',
    session: 'session-1',
    data: 'b3Blbg==',
    object: { open: true },
    rx: [{ gatewayId: '0016c001f153a14c', rssi: -48, snr: 9 }],
    source: 'chirpstack',
  },
  event: {
    topic: 'application/1/device/70b3d57ed0061a01/event/up',
    body: Buffer.from('{"data":"b3Blbg=="}'),
  },
}

/** Something that was never encrypted. */
export const OTHER_MESSAGE = {
  event: {
    topic: 'application/1/device/70b3d57ed0061a01/event/status',
    body: Buffer.from('{"margin":10}'),
  },
}
