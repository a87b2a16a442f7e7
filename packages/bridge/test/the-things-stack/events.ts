import { EXAMPLE } from '../owner.ts'

export const UP_TOPIC = 'v3/doors@tenant-1/devices/door-1/up'
export const SESSION_KEY_ID = Buffer.from('0a0b0c0d', 'hex').toString('base64')

const IDS = {
  device_id: 'door-1',
  application_ids: { application_id: 'doors' },
  dev_eui: EXAMPLE.devEui.toUpperCase(),
  join_eui: '70B3D57ED0000000',
  dev_addr: EXAMPLE.devAddr.toUpperCase(),
}

const APP_S_KEY = { encrypted_key: EXAMPLE.wrappedAppSKey.toString('base64'), kek_label: EXAMPLE.kekLabel }

/** As The Things Stack writes an uplink of a device whose payload crypto it skips. */
export const UP = {
  end_device_ids: IDS,
  correlation_ids: ['gs:uplink:01KAJ8W9ZQ'],
  received_at: '2026-11-21T10:00:00.310101010Z',
  uplink_message: {
    session_key_id: SESSION_KEY_ID,
    f_port: EXAMPLE.fPort,
    f_cnt: EXAMPLE.fCnt,
    frm_payload: EXAMPLE.frmPayload.toString('base64'),
    rx_metadata: [
      {
        gateway_ids: { gateway_id: 'roof', eui: '0016C001F153A14C' },
        time: '2026-11-21T10:00:00Z',
        timestamp: 2463457000,
        rssi: -48,
        channel_rssi: -48,
        snr: 9.25,
        uplink_token: 'CiIKIAoUZXVpLTAwMDA=',
      },
      { gateway_ids: { gateway_id: 'cellar' }, rssi: -101, snr: -3.5 },
    ],
    settings: { data_rate: { lora: { bandwidth: 125000, spreading_factor: 7 } }, frequency: '868100000' },
    received_at: '2026-11-21T10:00:00.104Z',
    app_s_key: APP_S_KEY,
    last_a_f_cnt_down: 40,
    consumed_airtime: '0.056576s',
    version_ids: { brand_id: 'acme', model_id: 'door', hardware_version: '1', firmware_version: '1' },
    network_ids: { net_id: '000013', tenant_id: 'tenant-1', cluster_id: 'eu1' },
  },
}

export const JOIN = {
  end_device_ids: IDS,
  received_at: '2026-11-21T10:00:00.310101010Z',
  join_accept: { session_key_id: SESSION_KEY_ID, app_s_key: APP_S_KEY, received_at: '2026-11-21T10:00:00.104Z' },
}

export function event(members: object, topic = UP_TOPIC): { topic: string; body: Buffer } {
  return { topic, body: Buffer.from(JSON.stringify(members)) }
}

/** The uplink with other members in its message. */
export function upWith(members: object): { topic: string; body: Buffer } {
  return event({ ...UP, uplink_message: { ...UP.uplink_message, ...members } })
}
