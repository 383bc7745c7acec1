import { Avatar, Menu, Text, UnstyledButton, VisuallyHidden } from '@mantine/core';
import { IconCheck, IconKey, IconSelector } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { projectsQuery } from '../api/queries';
import classes from './ProjectSwitcher.module.css';

/** Which project everything on the page is about, and the way to a key for it. */
export function ProjectSwitcher({ project, onNewKey }: { project: string; onNewKey?: () => void }) {
  const navigate = useNavigate();
  const { data: projects = [] } = useQuery(projectsQuery);
  const name = projects.find((found) => found.key === project)?.name ?? project;
  const subtitle = name === project ? 'Project' : project;
  return (
    <Menu width={248} position="bottom-start" shadow="md">
      <Menu.Target>
        <UnstyledButton className={classes.button}>
          <Avatar size={30} radius="md" color="indigo" variant="filled" name={name} aria-hidden />
          <div className={classes.names}>
            <Text size="sm" fw={600} lh={1.25} className="truncate">
              {name}
            </Text>
            <Text size="xs" c="dimmed" lh={1.25} className="truncate">
              {subtitle}
            </Text>
          </div>
          <VisuallyHidden>, switch project</VisuallyHidden>
          <IconSelector size={16} stroke={1.7} />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown mah={420} style={{ overflowY: 'auto' }}>
        <Menu.Label>Projects</Menu.Label>
        {projects.map((found) => (
          <Menu.Item
            key={found.key}
            onClick={() => navigate({ to: '/projects/$project/chat', params: { project: found.key } })}
            rightSection={found.key === project ? <IconCheck size={16} /> : null}
          >
            <span className="truncate">{found.name}</span>
          </Menu.Item>
        ))}
        {onNewKey && (
          <>
            <Menu.Divider />
            <Menu.Item leftSection={<IconKey size={16} />} onClick={onNewKey}>
              Generate new API key
            </Menu.Item>
          </>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}
