declare module '@knocklabs/react/dist/index.css';
