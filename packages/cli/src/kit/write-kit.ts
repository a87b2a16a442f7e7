import { dirname, join } from 'node:path'
import type { CreatedPaths } from '../init/created-paths.ts'
import { chirpStackFile, writeChirpStack } from './chirpstack.ts'
import { encodeManifest, type KitKind, type KitManifest, MANIFEST_FILE } from './manifest.ts'
import type { ReadmeFacts } from './readme.ts'
import { chirpStackReadme } from './readme-chirpstack.ts'
import { theThingsStackReadme } from './readme-the-things-stack.ts'
import {
  INTEROP,
  joinServerFile,
  STACK_FILE,
  writeInteropConfig,
  writeJoinServer,
  writeStackPart,
} from './the-things-stack.ts'

interface Layout {
  /** Directory of the PEM files, below the kit. */
  readonly certificates: (manifest: KitManifest) => string
  /** Name and content of everything else but `kit.json`. */
  readonly files: (facts: ReadmeFacts) => readonly (readonly [string, string])[]
}

const LAYOUTS: Readonly<Record<KitKind, Layout>> = {
  chirpstack: {
    certificates: ({ slug }) => slug,
    files: (facts) => [
      ['README.md', chirpStackReadme(facts)],
      [chirpStackFile(facts.manifest), writeChirpStack(facts.manifest, facts.joinEuis)],
    ],
  },
  'the-things-stack': {
    certificates: ({ slug }) => join(INTEROP, slug),
    files: (facts) => [
      ['README.md', theThingsStackReadme(facts)],
      [STACK_FILE, writeStackPart(facts.manifest)],
      [join(INTEROP, 'config.yml'), writeInteropConfig(facts.manifest, facts.joinEuis)],
      [joinServerFile(facts.manifest), writeJoinServer(facts.manifest)],
    ],
  },
}

/** Where cert.pem, key.pem and ca.pem of a kit go. */
export function certificateDirectory(directory: string, manifest: KitManifest): string {
  return join(directory, LAYOUTS[manifest.kind].certificates(manifest))
}

/** Writes everything else of a kit, 0600, never over what is there. Returns the names of its files. */
export function writeKit(created: CreatedPaths, directory: string, facts: ReadmeFacts): string[] {
  const contents = [
    ...LAYOUTS[facts.manifest.kind].files(facts),
    [MANIFEST_FILE, encodeManifest(facts.manifest)] as const,
  ]
  return contents.map(([name, content]) => {
    const path = join(directory, name)
    created.directory(dirname(path))
    created.file(path, content)
    return path
  })
}
