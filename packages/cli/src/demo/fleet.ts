import { randomBytes } from 'node:crypto'
import { bytesToHex, MAC_VERSIONS, type MacVersion, parseDevEui, parseJoinEui } from '@mortise/lorawan'
import { Device, type SecureElement } from '@mortise/simulator'

export const JOIN_EUI = parseJoinEui('70b3d57ed0000a01')

/** Sensors of every LoRaWAN version in turn; each secure element makes its keys itself. */
export async function makeFleet(secureElement: SecureElement, count: number): Promise<Device[]> {
  const fleet: Device[] = []
  for (let index = 0; index < count; index++) {
    const macVersion: MacVersion = MAC_VERSIONS[index % MAC_VERSIONS.length] ?? '1.0.4'
    const identity = { devEui: parseDevEui(randomBytes(8).toString('hex')), joinEui: JOIN_EUI, macVersion }
    await secureElement.createDevice(identity)
    fleet.push(new Device(secureElement, identity))
  }
  return fleet
}

/** The one time that root keys leave a secure element: a line for `mortise device add --file`, which seals them. */
export async function enrolmentLine(
  secureElement: SecureElement,
  device: Device,
  as: string,
  network: string,
): Promise<string> {
  const { devEui, joinEui, macVersion } = device.identity
  const { appKey, nwkKey } = await secureElement.takeRootKeysForProvisioning(devEui)
  const keys = { appKey: bytesToHex(appKey), ...(nwkKey && { nwkKey: bytesToHex(nwkKey) }) }
  return JSON.stringify({ devEui, joinEui, macVersion, ...keys, as, networks: [network] })
}
