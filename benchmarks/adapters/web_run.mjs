// One model in ONNX Runtime Web: node web_run.mjs plan.json
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const plan = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const require = createRequire(path.join(plan.modules, 'package.json'));
const ort = require('onnxruntime-web');
ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';

const session = await ort.InferenceSession.create(fs.readFileSync(plan.model), { executionProviders: ['wasm'] });
const feeds = {};
for (const input of plan.inputs) {
  const bytes = fs.readFileSync(input.file);
  const values = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  feeds[input.name] = new ort.Tensor('float32', values, input.dims);
}
const results = await session.run(feeds);
const types = { float32: '<f4', int64: '<i8', int32: '<i4' };
const answers = Object.entries(results).map(([name, tensor], index) => {
  const file = path.join(plan.folder, `out${index}.bin`);
  fs.writeFileSync(file, Buffer.from(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength));
  return { name, dims: tensor.dims, type: types[tensor.type], file };
});
fs.writeFileSync(path.join(plan.folder, 'answers.json'), JSON.stringify(answers));
