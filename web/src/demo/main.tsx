import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import '@knocklabs/react/dist/index.css';
import '../shared/base.css';
import './demo.css';
import { App } from './app.tsx';

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
