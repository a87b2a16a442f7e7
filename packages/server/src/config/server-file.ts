import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { DataDirectory } from './data-directory.ts'
import type { ListenAddress } from './options.ts'

/** Tells commands on the same machine where this process listens. The file goes with what is returned. */
export function writeServerFile(directory: DataDirectory, bi: ListenAddress, api: ListenAddress): Disposable {
  mkdirSync(directory.run, { recursive: true, mode: 0o700 })
  const body = { pid: process.pid, bi: `${bi.host}:${bi.port}`, api: `${api.host}:${api.port}` }
  // Beside and renamed: whoever looks for the server while it starts must not find half a file.
  const unfinished = `${directory.serverFile}.new`
  writeFileSync(unfinished, `${JSON.stringify(body)}\n`, { mode: 0o600 })
  renameSync(unfinished, directory.serverFile)
  return { [Symbol.dispose]: () => rmSync(directory.serverFile, { force: true }) }
}
