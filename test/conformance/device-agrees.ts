import { cryptFOpts11, cryptFrmPayload, type DevEui, dataMic10, dataMic11Up, hexToBytes } from '@mortise/lorawan'
import { createBlockCipher, type NodeBlockCipher } from '@mortise/lorawan/node-aes'
import { type DeviceIdentity, type RootKeys, type SecureElement, SoftSecureElement } from '@mortise/simulator'
import { expect } from 'vitest'
import { type KekRing, type KeyName, keyNamesOf, openKey, type ReceivedAnswer } from './answers.ts'

const MESSAGE = Uint8Array.of(0x40, 1, 2, 3, 4, 0, 0, 0, 1, 0x2a)
const F_CNT = 7

/** The device of a case: its identity, its root keys and the DevNonce of its join-request. */
export interface JoiningDevice {
  readonly identity: DeviceIdentity
  readonly rootKeys: RootKeys
  readonly devNonce: number
}

/**
 * Lets the device itself judge an answer, where no published one can: it opens the join-accept, whose JoinNonce is
 * returned, and what it then signs and encrypts is what the keys of the answer give.
 */
export async function expectDeviceAgrees(
  { identity, rootKeys, devNonce }: JoiningDevice,
  answer: ReceivedAnswer,
  ring: KekRing,
): Promise<{ joinNonce: number }> {
  await using element = new SoftSecureElement()
  element.loadDevice(identity, rootKeys)
  await element.signJoinRequest(identity.devEui, devNonce)
  return await expectElementAgrees(element, identity.devEui, answer, ring)
}

/** The same of a device that waits for the accept. */
export async function expectElementAgrees(
  element: SecureElement,
  devEui: DevEui,
  answer: ReceivedAnswer,
  ring: KekRing,
): Promise<{ joinNonce: number }> {
  const { joinNonce, devAddr, optNeg } = await element.processJoinAccept(devEui, hexToBytes(answer.PHYPayload ?? ''))
  const key = (name: KeyName): NodeBlockCipher => createBlockCipher(hexToBytes(openKey(answer[name]!, ring)))

  const frame = { direction: 'up' as const, fPort: 1, fCnt: F_CNT, payload: MESSAGE }
  const encrypted = await element.cryptFrmPayload(devEui, frame)
  expect(cryptFrmPayload(key('AppSKey'), 'up', devAddr, F_CNT, MESSAGE)).toEqual(encrypted)

  const uplink = { message: MESSAGE, fCnt: F_CNT, confFCnt: 0, txDr: 0, txCh: 0 }
  const mic = await element.signUplink(devEui, uplink)
  if (!optNeg) {
    expect(keyNamesOf(answer)).toEqual(['NwkSKey', 'AppSKey'])
    expect(dataMic10(key('NwkSKey'), 'up', devAddr, F_CNT, MESSAGE)).toEqual(mic)
    return { joinNonce }
  }
  expect(keyNamesOf(answer)).toEqual(['FNwkSIntKey', 'SNwkSIntKey', 'NwkSEncKey', 'AppSKey'])
  expect(dataMic11Up(key('FNwkSIntKey'), key('SNwkSIntKey'), { ...uplink, devAddr }, MESSAGE)).toEqual(mic)
  const fOpts = { direction: 'up' as const, counter: 'FCntUp' as const, fCnt: F_CNT, fOpts: MESSAGE }
  expect(cryptFOpts11(key('NwkSEncKey'), 'up', 'FCntUp', devAddr, F_CNT, MESSAGE)).toEqual(
    await element.cryptFOpts(devEui, fOpts),
  )
  return { joinNonce }
}
