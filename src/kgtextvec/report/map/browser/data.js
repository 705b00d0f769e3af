// The data blocks of the page: base64 of gzip of little-endian typed arrays or JSON.

async function unpackBlock(name) {
  const block = document.getElementById(`data-${name}`);
  const packed = Uint8Array.from(atob(block.textContent), (letter) => letter.charCodeAt(0));
  block.remove();
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

const readJson = async (name) => JSON.parse(new TextDecoder().decode(await unpackBlock(name)));

// Numbers come as planes, all low bytes first, since that packs better.
function joinPlanes(buffer, Type) {
  const bytes = new Uint8Array(buffer);
  const width = Type.BYTES_PER_ELEMENT;
  const count = bytes.length / width;
  const numbers = new Type(count);
  for (let plane = 0; plane < width; plane++) {
    const from = plane * count;
    for (let i = 0; i < count; i++) numbers[i] |= bytes[from + i] << (8 * plane);
  }
  return numbers;
}

export async function readData() {
  const data = await readJson("about");
  data.ids = await readJson("ids");
  data.names = await readJson("names");
  data.rows = joinPlanes(await unpackBlock("rows"), Uint32Array);
  data.positions = [];
  for (const layout of data.layouts) {
    data.positions.push(joinPlanes(await unpackBlock(layout.key), Uint16Array));
  }
  for (const [at, column] of data.columns.entries()) {
    column.codes = new Uint8Array(await unpackBlock(`column-${at}`));
  }
  // Neighbour number m of point i, as the difference of their places in the file, zigzag.
  const { count, k } = data;
  data.neighbours = joinPlanes(await unpackBlock("neighbours"), Uint32Array);
  for (let m = 0, at = 0; m < k; m++) {
    for (let i = 0; i < count; i++, at++) {
      const code = data.neighbours[at];
      data.neighbours[at] = i + ((code >>> 1) ^ -(code & 1));
    }
  }
  // The first cosine plus one, then by how much each next one falls, in ten-thousandths.
  data.cosines = joinPlanes(await unpackBlock("cosines"), Uint16Array);
  for (let at = count; at < count * k; at++) data.cosines[at] = data.cosines[at - count] - data.cosines[at];
  if (data.texts) {
    data.texts = await readJson("texts");
    data.textOf = joinPlanes(await unpackBlock("text-of"), Uint32Array);
  }
  return data;
}

export function neighboursOf(data, i) {
  const found = [];
  for (let m = 0; m < data.k; m++) {
    const at = m * data.count + i;
    found.push({ point: data.neighbours[at], cosine: data.cosines[at] / 10000 - 1 });
  }
  return found;
}
