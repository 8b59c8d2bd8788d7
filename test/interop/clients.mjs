// Asks a game by clients that others wrote, and prints as JSON what they were told.
//
//   node clients.mjs PORT PASSWORD COMMAND...
import { GameDig } from 'gamedig'
import Rcon from 'rcon'
import { Rcon as RconClient } from 'rcon-client'

const [port, password, ...commands] = process.argv.slice(2)
const host = '127.0.0.1'

// gamedig tells apart what it is told; raw.players is the list as it came.
async function query () {
  const state = await GameDig.query({ type: 'l4d2', host, port: Number(port), givenPortOnly: true, socketTimeout: 10000, maxRetries: 1 })
  const { name, map, password, maxplayers, numplayers, version, raw } = state
  return {
    name, map, password, version, players: numplayers, max_players: maxplayers, bots: raw.numbots,
    vac: raw.secure === 1, folder: raw.folder, game: raw.game, app_id: raw.appId, list: raw.players
  }
}

// rcon-client hands on the first packet of an answer. One that ends within a
// packet is whole.
async function short () {
  const client = await RconClient.connect({ host, port: Number(port), password, timeout: 10000 })
  const answers = {}
  for (const command of commands.slice(1)) answers[command] = await client.send(command)
  await client.end()
  return answers
}

// rcon hands on packet after packet, each without a newline at its end; that an
// answer is over is told by the answer to what is sent behind it.
function long () {
  return new Promise((resolve, reject) => {
    const client = new Rcon(host, Number(port), password)
    const answers = {}
    const waiting = [...commands]
    let text = ''
    const next = () => {
      if (waiting.length === 0) {
        client.disconnect()
        resolve(answers)
        return
      }
      client.send(waiting[0])
      client.send('echo over and out')
    }
    client.on('error', reject).on('auth', next).on('response', (piece) => {
      if (client.hasAuthed && piece === 'over and out') {
        answers[waiting.shift()] = text
        text = ''
        next()
        return
      }
      text += piece
    })
    client.connect()
  })
}

console.log(JSON.stringify({ query: await query(), short: await short(), long: await long() }))
