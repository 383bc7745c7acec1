import { Button, Menu, SegmentedControl } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconDownload, IconLock, IconPencilPlus, IconRefresh, IconTrash } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { EmptyState } from '../components/EmptyState';
import { Page } from '../components/Page';
import { useAsked } from '../shell/useAsked';
import { useMay, useProject } from '../shell/useProject';
import { DeleteDialog } from './DeleteDialog';
import { ExportDialog } from './ExportDialog';
import { FilterBar } from './FilterBar';
import { type Filter, filterOf, type Grouping, type Search } from './filter';
import { InteractionDrawer } from './InteractionDrawer';
import { InteractionGroups } from './InteractionGroups';
import { InteractionList } from './InteractionList';
import { LogDialog } from './LogDialog';

const ROUTE = '/projects/$project/interactions';
const NONE: ReadonlySet<string> = new Set();

/** What was asked and answered in a project. The address says what is looked for, so that it can be passed on. */
export function InteractionsPage() {
  const project = useProject();
  const search = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const client = useQueryClient();
  const mayDelete = useMay('interaction:delete');
  // Of the rows in sight: a selection that outlived them would delete what nobody looks at.
  const { open: _, ...shown } = search;
  const of = JSON.stringify([project, shown]);
  const [marked, setMarked] = useState({ of, ids: NONE });
  const chosen = marked.of === of ? marked.ids : NONE;
  const setChosen = (ids: ReadonlySet<string>) => setMarked({ of, ids });
  const [exporting, exportDialog] = useDisclosure(false);
  const [deleting, deleteDialog] = useDisclosure(false);
  useAsked('Export interactions', exportDialog.open);
  const mayLog = useMay('interaction:create');
  const [logging, logDialog] = useDisclosure(false);
  useAsked('Log an interaction', logDialog.open);

  const go = (next: Search) => void navigate({ search: next });
  const filter = (next: Filter) =>
    go({ ...next, order: search.order, group: search.group, size: search.size });
  if (!useMay('interaction:read')) {
    return (
      <EmptyState icon={IconLock} title="This key may not read interactions">
        It lacks the permission <code>interaction:read</code> in this project. The role <code>read-only</code>{' '}
        has it.
      </EmptyState>
    );
  }
  const about = chosen.size ? `${chosen.size} selected` : 'all that match';
  const actions = (
    <>
      <SegmentedControl
        size="xs"
        aria-label="Group by"
        data={[
          { value: '', label: 'List' },
          { value: 'model', label: 'By model' },
          { value: 'prompt', label: 'By prompt' },
        ]}
        value={search.group ?? ''}
        onChange={(group) =>
          go({
            ...filterOf(search),
            order: search.order,
            group: (group || undefined) as Grouping | undefined,
          })
        }
      />
      <Button
        size="xs"
        variant="default"
        leftSection={<IconRefresh size={15} />}
        onClick={() => void client.invalidateQueries({ queryKey: ['interactions', project] })}
      >
        Refresh
      </Button>
      <Menu position="bottom-end" shadow="md">
        <Menu.Target>
          <Button size="xs" variant="default">
            Actions: {about}
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {mayLog && (
            <Menu.Item leftSection={<IconPencilPlus size={15} />} onClick={logDialog.open}>
              Log an interaction
            </Menu.Item>
          )}
          <Menu.Item leftSection={<IconDownload size={15} />} onClick={exportDialog.open}>
            Export
          </Menu.Item>
          {mayDelete && (
            <Menu.Item color="red" leftSection={<IconTrash size={15} />} onClick={deleteDialog.open}>
              Delete
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
    </>
  );
  return (
    <Page title="Interactions" actions={actions} fixed={!search.group}>
      <FilterBar
        project={project}
        filter={filterOf(search)}
        order={search.order}
        onFilter={filter}
        onOrder={search.group ? undefined : (order) => go({ ...filterOf(search), order, size: search.size })}
      />
      {search.group ? (
        <InteractionGroups
          project={project}
          search={search}
          onNarrow={(more) => go({ ...filterOf(search), ...more })}
        />
      ) : (
        <InteractionList
          project={project}
          search={search}
          chosen={chosen}
          onChoose={setChosen}
          onGo={go}
          onClear={() => filter({})}
        />
      )}
      <InteractionDrawer
        project={project}
        id={search.open}
        onClose={() => go({ ...search, open: undefined })}
        onNarrow={(more) => go({ ...more })}
      />
      {logging && (
        <LogDialog
          project={project}
          onClose={logDialog.close}
          onLogged={(id) => {
            logDialog.close();
            go({ ...search, open: id });
          }}
        />
      )}
      <ExportDialog
        project={project}
        filter={filterOf(search)}
        chosen={chosen}
        opened={exporting}
        onClose={exportDialog.close}
      />
      <DeleteDialog
        project={project}
        filter={filterOf(search)}
        chosen={chosen}
        opened={deleting}
        onClose={deleteDialog.close}
        onDeleted={() => setChosen(NONE)}
      />
    </Page>
  );
}
