#!/usr/bin/env node
import { Command, InvalidArgumentError, Option } from 'commander'
import { chatCommand } from './cli-chat.ts'
import { imageCommand, videoCommand } from './cli-client.ts'
import {
  createKeyCommand,
  type KeysContext,
  listKeysCommand,
  onKeys,
  parseAge,
  revokeKeyCommand
} from './cli-keys.ts'
import { onStore } from './cli-store.ts'
import { listWebhooksCommand, replayWebhookCommand } from './cli-webhooks.ts'
import { type Config, loadConfig, packageInfo, unusedSettings } from './config.ts'
import type { Store } from './store/database.ts'

/** Where `chat`, `image` and `video` look for the gateway. */
const DEFAULT_URL = 'http://127.0.0.1:7860'

const program = new Command('bing-gateway')
  .description('Turns your own Microsoft account into an HTTP API: chat with Bing, images and videos.')
  .version(packageInfo().version)

program
  .command('serve')
  .description('run the gateway; settings come from the environment (see .env.example)')
  .action(async () => {
    let config: Config
    try {
      config = loadConfig(process.env)
    } catch (error) {
      process.stderr.write(`bing-gateway cannot start: ${(error as Error).message}\n`)
      process.exit(1)
    }
    // Loaded here only: the other commands need none of it and start three times as fast without.
    const { serve } = await import('./server.ts')
    await serve(config, unusedSettings(process.env))
  })

/** Options of the commands that talk to a running gateway. */
function client(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .addOption(
      new Option('--url <url>', 'address of the gateway').env('BING_GATEWAY_URL').default(DEFAULT_URL)
    )
    .addOption(new Option('--user <userId>', 'whitelisted userId').env('BING_GATEWAY_USER'))
    .addOption(
      new Option('--key <key>', 'API key; better in the environment, where other users do not see it').env(
        'BING_GATEWAY_KEY'
      )
    )
}

client('chat', 'ask Bing a question, or talk line by line when no prompt is given')
  .argument('[prompt...]', 'the question')
  .addOption(new Option('--tone <tone>', 'conversation style').choices(['creative', 'balanced', 'precise']))
  .option('--json', 'print the whole answer as JSON')
  .action((prompt: string[], options) => run(chatCommand(prompt.join(' '), options)))

client('image', 'create images and save them')
  .argument('<prompt...>', 'what to draw')
  .option('--model <model>', 'DALLE, GPT4O or MAI1', 'DALLE')
  .option('--aspect <aspect>', 'SQUARE, LANDSCAPE or PORTRAIT', 'SQUARE')
  .option('--out <folder>', 'save the pictures into this folder')
  .option('--json', 'print the whole answer as JSON')
  .action((prompt: string[], options) => run(imageCommand(prompt.join(' '), options)))

client('video', 'create a video, wait for it and save it')
  .argument('<prompt...>', 'what to film')
  .addOption(new Option('--speed <speed>', "Bing's queue").choices(['standard', 'fast']).default('standard'))
  .option('--out <folder>', 'save the video into this folder')
  .option('--interval <seconds>', 'time between two looks', seconds, 5)
  .option('--no-wait', 'print the task and return at once')
  .option('--json', 'print the whole answer as JSON')
  .action((prompt: string[], options) => run(videoCommand(prompt.join(' '), options)))

const keys = program
  .command('keys')
  .description('API keys; works on the store of the settings, also while a gateway runs on it')

keys
  .command('create <userId>')
  .description('make a key for a user and show it, once')
  .option('--expires <age>', 'when it ends: 90d, 12h, 30m or 30s from now; else never', age)
  .option('--json', 'print JSON')
  .action((userId: string, options) => run(withKeys((on) => createKeyCommand(on, userId, options))))

keys
  .command('list')
  .description('show all keys, without the keys themselves')
  .option('--json', 'print JSON')
  .action((options) => run(withKeys((on) => listKeysCommand(on, options))))

keys
  .command('revoke <id>')
  .description('end a key for good, within 2 s')
  .option('--json', 'print JSON')
  .action((id: string, options) => run(withKeys((on) => revokeKeyCommand(on, id, options))))

const webhooks = program
  .command('webhooks')
  .description('webhooks on their way; works on the store of the settings, also while a gateway runs on it')

webhooks
  .command('list')
  .description('show webhooks and what became of them, the newest first')
  .option('--failed', 'only those that were given up')
  .option('--limit <number>', 'how many at most', count, 100)
  .option('--json', 'print JSON')
  .action((options) => run(withStore((store) => listWebhooksCommand(store, options))))

webhooks
  .command('replay <id>')
  .description('send a webhook again, whether it was delivered or given up')
  .option('--json', 'print JSON')
  .action((id: string, options) => run(withStore((store) => replayWebhookCommand(store, id, options))))

program
  .command('doctor')
  .description('check settings, store, account and the way to Microsoft, step by step')
  .option('--json', 'print JSON')
  .addOption(
    new Option('--spend <what>', 'also make one real picture, or start one real conversation').choices([
      'image',
      'chat',
      'all'
    ])
  )
  .action(async (options) => {
    // Needs the whole upstream side, which the other commands don't.
    const { doctorCommand } = await import('./cli-doctor.ts')
    await run(doctorCommand(process.env, options))
  })

function withStore(command: (store: Store) => Promise<void>): Promise<void> {
  return onStore(() => loadConfig(process.env), command)
}

function withKeys(command: (on: KeysContext) => Promise<void>): Promise<void> {
  return onKeys(() => loadConfig(process.env), command)
}

function age(text: string): number {
  const ms = parseAge(text)
  if (ms === undefined)
    throw new InvalidArgumentError('It must look like 90d, 12h, 30m or 30s, and be above 0.')
  return ms
}

function count(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value <= 0)
    throw new InvalidArgumentError('It must be a whole number above 0.')
  return value
}

function seconds(text: string): number {
  const value = Number(text)
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('It must be a number above 0.')
  return value
}

async function run(command: Promise<void>): Promise<void> {
  try {
    await command
  } catch (error) {
    process.stderr.write(`bing-gateway: ${(error as Error).message}\n`)
    process.exitCode = 1
  }
}

await program.parseAsync()
