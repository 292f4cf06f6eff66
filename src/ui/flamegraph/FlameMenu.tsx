import { ContextMenu, Menu } from '@grafana/ui';
import React from 'react';

interface Props {
  name: string;
  x: number;
  y: number;
  zoomed: boolean;
  onZoom: () => void;
  onReset: () => void;
  onSearch: () => void;
  onClose: () => void;
}

/** What can be done with the function under the pointer. */
export function FlameMenu({ name, x, y, zoomed, onZoom, onReset, onSearch, onClose }: Props) {
  const items = () => (
    <>
      <Menu.Item label="Zoom into this call" icon="search-plus" onClick={onZoom} />
      <Menu.Item label="Search for this function" icon="search" onClick={onSearch} />
      <Menu.Item label="Copy function name" icon="copy" onClick={() => void navigator.clipboard?.writeText(name)} />
      {zoomed && <Menu.Item label="Reset zoom" icon="history-alt" onClick={onReset} />}
    </>
  );
  return <ContextMenu x={x} y={y} onClose={onClose} renderMenuItems={items} focusOnOpen />;
}
