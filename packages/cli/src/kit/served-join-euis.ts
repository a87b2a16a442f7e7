import { EUI64_BITS, type JoinEui, type JoinEuiPrefix, type NetId, parseJoinEui } from '@mortise/lorawan'
import type { Administration } from '@mortise/server'

const PAGE = 1000

/** The JoinEUIs under which devices are known, each once, in ascending order; with `netId` those that it may activate. */
export async function servedJoinEuis(
  administration: Pick<Administration, 'listDevices'>,
  netId?: NetId,
): Promise<JoinEui[]> {
  const found = new Set<JoinEui>()
  let after: string | undefined
  do {
    const page = await administration.listDevices({ limit: PAGE, ...(after !== undefined && { after }) })
    for (const { joinEui, networks } of page.devices)
      if (netId === undefined || networks.includes(netId)) found.add(parseJoinEui(joinEui))
    after = page.next
  } while (after !== undefined)
  return Array.from(found).sort()
}

export function wholeJoinEui(joinEui: JoinEui): JoinEuiPrefix {
  return { joinEui, bits: EUI64_BITS }
}
