// SPDX-License-Identifier: MIT
// The beginning: the server's HTML says which view this is, its module takes the main part over. What the server wrote
// stays readable when a module or its data cannot be had.

import { el } from './dom.js';
import { page } from './api.js';

const VIEWS = { envs: './envs.js', env: './env.js', release: './release.js', history: './history.js' };

async function begin() {
  const main = document.getElementById('main');
  const name = VIEWS[page.view];
  if (!name) return;
  try {
    const view = await import(name);
    await view.start(main);
  } catch (error) {
    main.prepend(el('p', { class: 'error', role: 'alert' }, `This page is not live: ${error.message}`));
    main.dataset.ready = 'error';
  }
}

begin();
