/**
 * The thread of a sandbox: QuickJS compiled to WebAssembly, which has its own heap and nothing of Node. Every call gets a
 * runtime of its own, so that no codec leaves anything for the next. Its interrupt handler stops loops; what does not ask
 * it (a search through an array of 2^32 elements) is stopped from outside, with the thread.
 */
import { parentPort } from 'node:worker_threads'
import {
  newQuickJSWASMModuleFromVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSWASMModule,
} from 'quickjs-emscripten-core'
import type { SandboxAnswer, SandboxCall, SandboxFailure } from './sandbox-messages.ts'
import { BUFFER_SCRIPT } from './sandbox-buffer.ts'
import { CALL_SCRIPT, FIND_SCRIPT } from './sandbox-script.ts'

/** Well inside the stack of the WebAssembly module, so that QuickJS notices before it. */
const STACK_BYTES = 256 * 1024
const DETAIL_LENGTH = 200

/** Ends a call, with why. */
class Failure extends Error {
  readonly failure: SandboxFailure
  readonly detail: string | undefined

  constructor(failure: SandboxFailure, detail?: string) {
    super(failure)
    this.failure = failure
    this.detail = detail
  }
}

interface Scene {
  readonly context: QuickJSContext
  readonly timeIsUp: () => boolean
}

function answer(module: QuickJSWASMModule, call: SandboxCall): SandboxAnswer {
  const deadline = performance.now() + call.limits.timeMs
  const timeIsUp = (): boolean => performance.now() > deadline
  try {
    using runtime = module.newRuntime()
    runtime.setMemoryLimit(call.limits.memoryBytes)
    runtime.setMaxStackSize(STACK_BYTES)
    runtime.setInterruptHandler(timeIsUp)
    using context = runtime.newContext()
    return { result: run({ context, timeIsUp }, call) }
  } catch (error) {
    if (error instanceof Failure) return { failure: error.failure, detail: error.detail }
    // WebAssembly itself gave up.
    return { failure: timeIsUp() ? 'codec_timeout' : 'codec_sandbox_failed' }
  }
}

function run(scene: Scene, call: SandboxCall): string {
  const { context } = scene
  using callIt = evaluate(scene, CALL_SCRIPT, 'codec_sandbox_failed')
  // Most codecs do without it, and it takes longer than they do.
  if (call.source.includes('Buffer')) evaluate(scene, BUFFER_SCRIPT, 'codec_sandbox_failed').dispose()
  evaluate(scene, call.source, 'codec_syntax').dispose()
  using codecFunction = evaluate(scene, FIND_SCRIPT[call.function], 'codec_function_missing')
  if (context.typeof(codecFunction) !== 'function') throw new Failure('codec_function_missing')
  using input = context.newString(call.input)
  using resultLength = context.newNumber(call.limits.resultLength)
  using result = take(
    scene,
    context.callFunction(callIt, context.undefined, codecFunction, input, resultLength),
    'codec_threw',
  )
  const type = context.typeof(result)
  if (type === 'number') throw new Failure('codec_result_too_large')
  if (type !== 'string') throw new Failure('codec_result_invalid')
  return context.getString(result)
}

function evaluate(scene: Scene, source: string, failure: SandboxFailure): QuickJSHandle {
  return take(scene, scene.context.evalCode(source, 'codec.js', { type: 'global' }), failure)
}

/** The value of a completion, or the failure that it is. */
function take(
  scene: Scene,
  completion: ReturnType<QuickJSContext['evalCode']>,
  failure: SandboxFailure,
): QuickJSHandle {
  if (completion.error === undefined) return completion.value
  using error = completion.error
  const detail = describe(scene.context, error)
  // Accessors of what was thrown have run since.
  if (scene.timeIsUp()) throw new Failure('codec_timeout')
  if (/^InternalError: out of memory/.test(detail)) throw new Failure('codec_memory')
  if (/^(InternalError: stack overflow|RangeError: Maximum call stack size exceeded)/.test(detail)) {
    throw new Failure('codec_recursion')
  }
  throw new Failure(failure, detail)
}

/** What was thrown, as text. It may be anything, and its members may be accessors: they run under the same limits. */
function describe(context: QuickJSContext, error: QuickJSHandle): string {
  const textOf = (handle: QuickJSHandle): string =>
    context.typeof(handle) === 'string' ? context.getString(handle) : ''
  if (context.typeof(error) !== 'object') return textOf(error).slice(0, DETAIL_LENGTH)
  using name = context.getProp(error, 'name')
  using message = context.getProp(error, 'message')
  return `${textOf(name)}: ${textOf(message)}`.slice(0, DETAIL_LENGTH)
}

if (parentPort === null) throw new Error('This is the program of a thread.')
const port = parentPort
const module = await newQuickJSWASMModuleFromVariant(import('@jitl/quickjs-wasmfile-release-sync'))
port.on('message', (call: SandboxCall) => {
  port.postMessage(answer(module, call))
})
port.postMessage('ready')
